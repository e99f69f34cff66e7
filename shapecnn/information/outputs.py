"""Describe folders of artefacts (views or grids), and reports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shapecnn.artefacts.manifest import MANIFEST, SETTINGS, read_manifest
from shapecnn.artefacts.manifest import REMEDY as ARTEFACT_REMEDY
from shapecnn.information.figures import figures_of, intervals_of
from shapecnn.information.meshes import count_labels
from shapecnn.meshes.shards import read_part
from shapecnn.storage.kinds import KIND_FILES, kind_of
from shapecnn.storage.sealed import open_sealed
from shapecnn.storage.unfinished import WORK

SHOWN = 20
"""Largest number of failures that are listed."""

_REMEDY = "Make the report again, or restore it from a copy."


def artefact_facts(folder: Path) -> dict[str, Any]:
    """Describe a folder of artefacts: what it holds, its settings, and how many shapes there are and failed.

    Args:
        folder: Folder that ``render``, ``voxelize`` or ``data import`` wrote.

    Raises:
        StoredDataError: The settings or the manifest are missing or damaged.
    """
    sealed = open_sealed(folder, ARTEFACT_REMEDY)
    settings = sealed.json(SETTINGS)
    digest = settings.pop("hash", None)
    settings.pop("schema_version", None)
    entries = read_manifest(folder)
    good = [entry for entry in entries if entry.status == "ok"]
    failed = [entry for entry in entries if entry.status != "ok"]
    return {
        "shard": shard_of(folder),
        "content": settings.get("kind"),
        "shapes": len(good),
        **count_labels((entry.label, entry.split) for entry in good),
        "failed": len(failed),
        "failures": [{"id": entry.id, "error": entry.error} for entry in failed[:SHOWN]],
        "notes": sum(entry.note is not None for entry in good),
        "settings": settings,
        "hash": digest,
        "files": len(sealed.sums),
        "bytes": sum(sealed.size(name) for name in sealed.sums if name not in (MANIFEST, SETTINGS)),
        "interrupted": (folder / WORK).exists(),
    }


def shard_of(folder: Path) -> str | None:
    """Return which shard of a collection a folder holds, such as ``2/8``; None for a whole collection.

    Args:
        folder: Folder of artefacts or of an index.

    Raises:
        StoredDataError: The description of the shard is damaged.
    """
    part = read_part(folder, ARTEFACT_REMEDY)
    return None if part is None else str(part.shard)


def report_facts(folder: Path) -> dict[str, Any]:
    """Describe a report of ``eval``, ``audit``, ``compare`` or ``ladder``: its subject and its main figures.

    Args:
        folder: Folder of the report.

    Raises:
        StoredDataError: The report is damaged.
    """
    kind = kind_of(folder)
    name = next(name for name, its_kind in KIND_FILES.items() if its_kind == kind)
    stored = open_sealed(folder, _REMEDY).json(name)
    page = next((page for page in ("report.html", "audit.html") if (folder / page).exists()), None)
    facts = {"page": page and str(folder / page)}
    if kind == "audit":
        return {**facts, "data": stored["data"], "count": stored["count"], "levels": stored["levels"]}
    if kind == "ladder":
        stored = stored.get("comparison") or {}
    if kind in ("comparison", "ladder"):
        models = [
            {"model": model["name"], **{key: value_of(figure) for key, figure in model["figures"].items()}}
            for model in stored.get("models", [])
        ]
        return {**facts, "split": stored.get("split"), "count": stored.get("count"), "models": models}
    return {
        **facts,
        "model": stored["model"],
        "data": stored["data"],
        "split": stored["split"],
        "count": stored["count"],
        "figures": figures_of(stored),
        "intervals": intervals_of(stored),
    }


def value_of(figure: Any) -> Any:
    """Return the value of a figure of a comparison, which may be stored with its interval."""
    return figure.get("value") if isinstance(figure, dict) else figure
