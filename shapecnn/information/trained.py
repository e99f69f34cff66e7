"""Describe runs, unfinished trainings and indexes, without reading weights and features."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from shapecnn.errors import MissingLibraryError, ObjectStoreError, ShapecnnError, StoredDataError, UsageError
from shapecnn.information.meshes import count_labels
from shapecnn.information.outputs import shard_of
from shapecnn.models.head import WEIGHTS
from shapecnn.models.metric import METRIC
from shapecnn.models.run import CONFIG, METRICS, SPLIT, describe_run
from shapecnn.search.index import FAILURES, FEATURES, HEADER, INVERTED, IndexedShape, read_shapes
from shapecnn.storage.objects.url import Url, as_path
from shapecnn.storage.sealed import open_sealed
from shapecnn.storage.unfinished import RESUME, RESUME_REMEDY, WORK
from shapecnn.training.plan import stored_plan

_MOST_CHECKED = 20_000  # shapes of an index whose files are looked at; more would take seconds


def run_facts(folder: Path) -> dict[str, Any]:
    """Describe a finished run: its network, its data, its validation figures and its calibration.

    Args:
        folder: Folder of the run.

    Raises:
        StoredDataError: The run is damaged or from another version of shapecnn.
    """
    sealed, model = describe_run(folder)
    data = model.get("data") or {}
    training = data.get("training") or {}
    metric = sealed.json(METRIC) if METRIC in sealed.sums else None
    held = sealed.json(SPLIT) if SPLIT in sealed.sums else {}
    lines = sealed.read(METRICS).count(b"\n") if METRICS in sealed.sums else None
    return {
        "finished": True,
        "network": model["network"],
        "target": model.get("target", "class"),
        "classes": model["classes"],
        "one_vs_rest": model.get("one_vs_rest"),
        "input": model["input"],
        "up": model.get("up"),
        "feature_size": model["feature_size"],
        "parameters": model.get("parameters"),
        "weights_bytes": sealed.size(WEIGHTS),
        "weights": sealed.sums.get(WEIGHTS),
        "config": str(folder / CONFIG) if CONFIG in sealed.sums else None,
        "data": data.get("folder"),
        "subset": data.get("subset"),
        "train": len(held.get("train", [])),
        "val": len(held.get("val", [])),
        "epochs": training.get("epochs"),
        "best_epoch": training.get("best_epoch"),
        "log_lines": lines,
        "seconds": training.get("seconds"),
        "validation": training.get("validation"),
        "calibration": model["calibration"],
        "metric": metric and {key: value for key, value in metric.items() if key not in ("schema_version", "weights")},
        "versions": model.get("versions", {}),
    }


def training_facts(folder: Path) -> dict[str, Any]:
    """Describe an unfinished training: its config and its data.

    Args:
        folder: Folder of the run.

    Raises:
        StoredDataError: The description of the training is damaged.
    """
    plan = stored_plan(folder)
    sealed = open_sealed(folder / RESUME, RESUME_REMEDY)
    return {
        "finished": False,
        "network": plan and plan.experiment.network.model_dump(mode="json"),
        "target": plan and plan.experiment.target,
        "stages": [stage.name for stage in plan.experiment.stages] if plan else [],
        "data": plan and str(plan.data),
        "subset": str(plan.subset) if plan and plan.subset else None,
        "bytes": sum(map(sealed.size, sealed.sums)),
    }


def index_facts(folder: Path) -> dict[str, Any]:
    """Describe an index: its model, its shapes, and whether its meshes and its run are still as they were.

    Args:
        folder: Folder of the index.

    Raises:
        StoredDataError: The index is damaged or from another version.
    """
    header, record, shapes = read_shapes(folder)
    sealed = open_sealed(folder, "Put it back from a copy, or index the collection again, with --overwrite.")
    return {
        "shard": shard_of(folder),
        "model": header.model,
        "description": _title(record),
        "feature": record.feature,
        "descriptor": record.descriptor,
        "up": record.up,
        "orientation": record.orientation,
        "labels": header.labels,
        "shapes": len(shapes),
        **count_labels((shape.label, shape.split) for shape in shapes),
        "feature_size": header.feature_size,
        "views": header.views,
        "engine": header.engine,
        "rows": header.rows,
        "kind": header.kind,
        "lists": header.lists,
        "bytes": sum(map(sealed.size, [FEATURES, INVERTED] if header.lists else [FEATURES])),
        "failures_file": FAILURES if FAILURES in sealed.sums else None,
        "meshes": _meshes(shapes, folder / HEADER),
        "run": _state_of_run(header.model, record.settings.get("weights"))
        if record.settings["kind"] == "run"
        else None,
        "interrupted": (folder / WORK).exists(),
        "first": shapes[0].path if shapes else None,
    }


def _title(record: Any) -> str:
    try:
        return str(record.description)
    except ShapecnnError:  # settings of another version
        return str(record.model)


def _meshes(shapes: Iterable[IndexedShape], header: Path) -> dict[str, Any]:
    """Count the mesh files that are missing, or have a later time of change than the index. Hashes are not computed.

    Meshes in an object store, and those of an index there, are not looked at.
    """
    missing = changed = checked = 0
    if isinstance(header, Url):  # when it was published is not when its meshes were read
        shapes = ()
    else:
        made = header.stat().st_mtime
    for shape in shapes:
        if checked == _MOST_CHECKED:
            break
        if isinstance(shape.source.file, Url):
            continue
        checked += 1
        try:
            changed += shape.source.file.stat().st_mtime > made
        except OSError:
            missing += 1
    return {"checked": checked, "missing": missing, "changed_since": changed}


def _state_of_run(run: str, weights: str | None) -> str:
    """Tell whether the run of an index is ``unchanged``, has other weights (``changed``), or is ``missing``.

    It is ``unknown`` if the run is in an object store that cannot be reached.
    """
    try:
        sealed = open_sealed(as_path(run), "")
    except StoredDataError:
        return "missing"
    except (ObjectStoreError, MissingLibraryError, UsageError):  # the index is good, whatever its run is
        return "unknown"
    return "unchanged" if sealed.size(WEIGHTS) and sealed.sums.get(WEIGHTS) == weights else "changed"
