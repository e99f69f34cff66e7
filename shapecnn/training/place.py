"""Check the output folder of a training: whether a training can start in the folder, or be resumed from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shapecnn.errors import MismatchError, UsageError
from shapecnn.models.input import Input
from shapecnn.models.run import MODEL, describe_run
from shapecnn.settings.base import settings_hash
from shapecnn.settings.experiment import Experiment
from shapecnn.storage.sealed import open_sealed
from shapecnn.storage.unfinished import RESUME, RESUME_REMEDY
from shapecnn.training.plan import ORIGIN, Plan, describe_differences, other_training, resume_command, stored_plan
from shapecnn.training.splits import Division


def describe_origin(experiment: Experiment, division: Division, network_input: Input) -> dict[str, Any]:
    """Return hashes of the config and the data of a training, which together determine the trained weights.

    Args:
        experiment: Settings of the network and its stages.
        division: The shapes to train on and the held-out shapes.
        network_input: Converter from artefacts to the input of the network.

    Returns:
        JSON object with the hashes, and with the numbers of shapes in train and val.
    """
    rows = [[[entry.id, entry.label, entry.sha256] for entry in entries] for entries in (division.train, division.val)]
    return {
        "config_hash": experiment.digest(),
        "data_hash": settings_hash({"rows": rows, "input": network_input.to_json()}),
        "train": len(division.train),
        "val": len(division.val),
    }


def require_place(out: Path, plan: Plan, origin: dict[str, Any], resume: bool) -> None:
    """Raise an error if a folder already contains a finished or unfinished training.

    No error is raised if ``resume`` is true and the training in the folder has the same settings and data.

    Args:
        out: Folder of the run.
        plan: Experiment and data of the requested training.
        origin: Hashes of the requested training, from :func:`describe_origin`.
        resume: Whether to resume a training in the folder.

    Raises:
        UsageError: The folder contains a training, and ``resume`` is false.
        MismatchError: The folder contains a training with other settings or data.
        StoredDataError: The stored description of the training in the folder is damaged.
    """
    finished, unfinished = (out / MODEL).exists(), (out / RESUME / ORIGIN).exists()
    if not finished and not unfinished:
        return
    if not resume:
        if finished:
            raise UsageError(
                f"{out} contains a finished run. Choose another folder, or replace the run with --overwrite."
            )
        raise UsageError(
            f"{out} contains an unfinished training. Choose another folder, replace the training with --overwrite, or "
            f"continue it: {resume_command(out)}"
        )
    if finished:
        stored = describe_run(out)[1].get("data")
    else:
        stored = open_sealed(out / RESUME, RESUME_REMEDY).json(ORIGIN)
    stored = stored if isinstance(stored, dict) else {}
    if stored.get("config_hash") != origin["config_hash"]:
        earlier = stored_plan(out)
        differences = (
            describe_differences(earlier.experiment, plan.experiment) if earlier else "the stored config is missing"
        )
        raise other_training(out, differences)
    if stored.get("data_hash") != origin["data_hash"]:
        raise MismatchError(
            f"{plan.data} differs from the data of the training in {out} ({stored.get('train')} training and "
            f"{stored.get('val')} held-out shapes then, {origin['train']} and {origin['val']} now; labels, files or "
            f"settings may differ). Give the original data with --data and --subset, or choose another folder."
        )
