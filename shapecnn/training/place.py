"""Check of the folder of a run: whether a training can begin there or be resumed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shapecnn.errors import MismatchError, UsageError
from shapecnn.models.input import Input
from shapecnn.models.run import MODEL, describe_run
from shapecnn.settings.base import settings_hash
from shapecnn.settings.experiment import Experiment
from shapecnn.storage.sealed import open_sealed
from shapecnn.storage.unfinished import RESUME
from shapecnn.training.plan import ORIGIN, Plan, describe_differences, other_training, resume_command, stored_plan
from shapecnn.training.resume import REMEDY
from shapecnn.training.splits import Division


def describe_origin(experiment: Experiment, division: Division, network_input: Input) -> dict[str, Any]:
    """Describe all that decides the weights of a run.

    Args:
        experiment: Network and stages.
        division: The shapes to train on and the held-out ones.
        network_input: How the network sees them.

    Returns:
        Hashes of the config and of the data, and the number of shapes in train and val.
    """
    rows = [[[entry.id, entry.label, entry.sha256] for entry in entries] for entries in (division.train, division.val)]
    return {
        "config_hash": experiment.digest(),
        "data_hash": settings_hash({"rows": rows, "input": network_input.to_json()}),
        "train": len(division.train),
        "val": len(division.val),
    }


def require_place(out: Path, plan: Plan, origin: dict[str, Any], resume: bool) -> None:
    """Require that a folder is free, or that it holds the same training and is to be resumed.

    Args:
        out: Folder of the run.
        plan: The training that is asked for.
        origin: Its description from :func:`describe_origin`.
        resume: Whether a training in the folder is to be resumed.

    Raises:
        UsageError: The folder holds a training, and ``resume`` is not given.
        MismatchError: The folder holds a training with other settings or data.
        StoredDataError: The description of that training is damaged.
    """
    finished, unfinished = (out / MODEL).exists(), (out / RESUME / ORIGIN).exists()
    if not finished and not unfinished:
        return
    if not resume:
        if finished:
            raise UsageError(f"{out} holds a finished run. Choose another folder, or --overwrite to replace it.")
        raise UsageError(
            f"{out} holds an unfinished training. Choose another folder, --overwrite to replace it, or go on with it: "
            f"{resume_command(out)}"
        )
    if finished:
        stored = describe_run(out)[1].get("data")
    else:
        stored = open_sealed(out / RESUME, REMEDY).json(ORIGIN)
    stored = stored if isinstance(stored, dict) else {}
    if stored.get("config_hash") != origin["config_hash"]:
        earlier = stored_plan(out)
        differences = describe_differences(earlier.experiment, plan.experiment) if earlier else "its config is unknown"
        raise other_training(out, differences)
    if stored.get("data_hash") != origin["data_hash"]:
        raise MismatchError(
            f"{plan.data} differs from the data of the training in {out} ({stored.get('train')} shapes to train on and "
            f"{stored.get('val')} held out there, {origin['train']} and {origin['val']} here, or other settings). Name "
            f"the original data with --data and --subset, or choose another folder."
        )
