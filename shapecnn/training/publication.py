"""Publication of a trained run: its files from what the training made."""

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
    gallery: Gallery,
    records: Sequence[Record],
) -> None:
    """Write the files of a run together, then remove what was only needed to resume its training.

    Args:
        data: What the network was trained on.
        network: The trained network.
        result: Figures, calibration, and the folder of the run.
        origin: All that decides the weights, stored in the run.
        gallery: Features of the shapes that the network was trained on.
        records: The lines of ``metrics.jsonl``.
    """
    summary = {**asdict(result), "run": None}
    del summary["calibration"]  # stored on its own
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
        data.division.ids(),
        {**source, **origin, "training": summary},
        gallery,
        result.calibration,
        data.artefacts.settings.get("up"),
    )
    publish(result.run, {**files, METRICS: metrics_bytes(records)})
    discard(result.run / RESUME)
