"""Publish a finished run: write its weights, settings, gallery, calibration and training log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from shapecnn.models.gallery import Gallery
from shapecnn.models.run import METRICS
from shapecnn.models.run_files import run_bytes
from shapecnn.networks.network import ShapeNetwork
from shapecnn.storage.publishing import publish
from shapecnn.storage.unfinished import RESUME, discard
from shapecnn.training.data import TrainingData
from shapecnn.training.records import Record, metrics_bytes
from shapecnn.training.result import TrainingResult


def publish_run(
    data: TrainingData,
    network: ShapeNetwork,
    result: TrainingResult,
    origin: dict[str, Any],
    gallery: Gallery | None,
    records: Sequence[Record],
) -> None:
    """Write all files of a finished run to its folder, then remove the files that were only needed for resuming.

    Args:
        data: Shapes, artefacts (views or grids) and settings of the training.
        network: The trained network.
        result: Validation results, calibration, and the folder of the run.
        origin: Hashes of config and data, from :func:`shapecnn.training.place.describe_origin`.
        gallery: Features of the shapes that the network was trained on; None for a network that predicts a quantity.
        records: Lines of ``metrics.jsonl``, one for each epoch or LDA stage.
    """
    summary = {**asdict(result), "run": None}
    del summary["calibration"], summary["target"]  # stored under their own keys
    plan = data.plan
    source = {
        "folder": str(plan.data),
        "subset": str(plan.subset) if plan.subset else None,
        "written": plan.written,
    }
    files = run_bytes(
        plan.experiment,
        network,
        data.division.classes,
        data.input,
        data.division.to_json(),
        {**source, **origin, "training": summary},
        gallery,
        result.calibration,
        data.artefacts.settings.get("up"),
    )
    publish(result.run, {**files, METRICS: metrics_bytes(records)})
    discard(result.run / RESUME)
