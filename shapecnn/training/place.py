"""What a run's folder holds already, and whether a training may begin or go on there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shapecnn.checkpoint import CONFIG, MODEL, describe_run
from shapecnn.config import differences, few, settings_hash
from shapecnn.errors import MismatchError, UsageError
from shapecnn.experiment import Experiment
from shapecnn.inputs import Input
from shapecnn.sealed import open_sealed
from shapecnn.storage import RESUME
from shapecnn.training.resume import REMEDY
from shapecnn.training.splits import Division
from shapecnn.yaml_core import read_yaml

ORIGIN = "origin.json"


def describe_origin(experiment: Experiment, division: Division, seen: Input) -> dict[str, Any]:
    """What decides the weights."""
    rows = [[[e.id, e.label, e.sha256] for e in entries] for entries in (division.train, division.val)]
    return {
        "config_hash": experiment.digest(),
        "data_hash": settings_hash({"rows": rows, "input": seen.to_json()}),
        "train": len(division.train),
        "val": len(division.val),
    }


def require_place(out: Path, experiment: Experiment, origin: dict[str, Any], resume: bool, command: str) -> None:
    """Raise unless ``out`` is free, or holds a training of this experiment that may be gone on with."""
    finished, unfinished = (out / MODEL).exists(), (out / RESUME / ORIGIN).exists()
    if not finished and not unfinished:
        return
    anew = f"to start anew: {command} --overwrite"
    if not resume:
        what = "a finished run" if finished else "an unfinished training"
        go_on = "" if finished else f"To go on: {command} --resume; "
        raise UsageError(f"{out} holds {what}. {go_on}{anew if go_on else anew.capitalize()}")
    if finished:
        stored = describe_run(out)[1].get("data")
    else:
        stored = open_sealed(out / RESUME, REMEDY).json(ORIGIN)
    stored = stored if isinstance(stored, dict) else {}
    anew = anew.replace(" --resume", "")
    if stored.get("config_hash") != origin["config_hash"]:
        raise MismatchError(f"{out} holds the training of another config ({_changes(out, experiment)}); {anew}")
    if stored.get("data_hash") != origin["data_hash"]:
        raise MismatchError(
            f"{out} holds a training on other data: {stored.get('train')} + {stored.get('val')} shapes there, "
            f"{origin['train']} + {origin['val']} here, or the same with other content; {anew}"
        )


def _changes(out: Path, experiment: Experiment) -> str:
    """Which keys differ from those of the config in ``out``, a few of them."""
    try:
        there = dict(_leaves(read_yaml((out / CONFIG).read_text("utf-8"))))
    except (OSError, ValueError):
        return "its own cannot be read"
    return few(differences(dict(_leaves(experiment.model_dump(mode="json"))), there).values())


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted key and value of all that is no mapping and no list."""
    if isinstance(value, dict | list):
        for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(inner, f"{key}.{name}" if key else str(name))
    else:
        yield key, value
