"""What a run's folder holds already, and whether a training may begin or go on there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shapecnn.errors import MismatchError, UsageError
from shapecnn.models.input import Input
from shapecnn.models.run import MODEL, describe_run
from shapecnn.settings.core import settings_hash
from shapecnn.settings.experiment import Experiment
from shapecnn.storage.publishing import RESUME
from shapecnn.storage.sealed import open_sealed
from shapecnn.training.plan import ORIGIN, Plan, begun_plan, other_training, resume_command, unlike
from shapecnn.training.resume import REMEDY
from shapecnn.training.splits import Division


def describe_origin(experiment: Experiment, division: Division, seen: Input) -> dict[str, Any]:
    """What decides the weights."""
    rows = [[[e.id, e.label, e.sha256] for e in entries] for entries in (division.train, division.val)]
    return {
        "config_hash": experiment.digest(),
        "data_hash": settings_hash({"rows": rows, "input": seen.to_json()}),
        "train": len(division.train),
        "val": len(division.val),
    }


def require_place(out: Path, plan: Plan, origin: dict[str, Any], resume: bool) -> None:
    """Raise unless ``out`` is free, or holds a training of this very plan that may be gone on with."""
    finished, unfinished = (out / MODEL).exists(), (out / RESUME / ORIGIN).exists()
    if not finished and not unfinished:
        return
    if not resume:
        what = "a finished run" if finished else "an unfinished training"
        go_on = "" if finished else f"To go on with it: {resume_command(out)}. "
        raise UsageError(f"{out} holds {what}. {go_on}For another, choose another folder: --overwrite replaces it.")
    if finished:
        stored = describe_run(out)[1].get("data")
    else:
        stored = open_sealed(out / RESUME, REMEDY).json(ORIGIN)
    stored = stored if isinstance(stored, dict) else {}
    if stored.get("config_hash") != origin["config_hash"]:
        begun = begun_plan(out)
        raise other_training(out, unlike(begun.experiment, plan.experiment) if begun else "its config is not known")
    if stored.get("data_hash") != origin["data_hash"]:
        raise MismatchError(
            f"{plan.data} is not what the training in {out} was begun with: {stored.get('train')} shapes to train on "
            f"and {stored.get('val')} held out then, {origin['train']} and {origin['val']} now, or others. To go on, "
            f"give it what it had, with --data and --subset. To train on what is there now, choose another folder."
        )
