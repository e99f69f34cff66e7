"""Plan of a training: an experiment and its data. The plan of an earlier training is read from its folder."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from shapecnn.artefacts.subset import Subset
from shapecnn.errors import MismatchError, UsageError
from shapecnn.models.run import CONFIG, MODEL, describe_run
from shapecnn.settings.base import few, settings_hash
from shapecnn.settings.config_files import read_config
from shapecnn.settings.experiment import Experiment, changed, load_experiment
from shapecnn.settings.yaml_reader import read_yaml
from shapecnn.storage.kinds import explain_kind, kind_of
from shapecnn.storage.publishing import published
from shapecnn.storage.sealed import open_sealed
from shapecnn.storage.unfinished import RESUME
from shapecnn.training.resume import REMEDY

ORIGIN = "origin.json"


@dataclass(frozen=True, slots=True)
class Plan:
    """Experiment and data of a training.

    Attributes:
        experiment: The network and its stages.
        data: Folder of the artefacts.
        subset: Part of the data; None for all of it.
        written: Hash (hex) of the config as it is in its file, before ``--set``; None if unknown.
    """

    experiment: Experiment
    data: Path
    subset: Subset | None = None
    written: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Describe the plan as a JSON object with an absolute path, for :meth:`read`."""
        return {
            "config": self.experiment.model_dump(mode="json"),
            "data": str(self.data.absolute()),
            "subset": str(self.subset) if self.subset else None,
            "written": self.written,
        }

    @classmethod
    def read(cls, stored: Any) -> Plan:
        """Read a plan from JSON.

        Args:
            stored: A value from :meth:`to_json`; anything else is refused.

        Returns:
            The plan; its folder is relative if it is below the current one.

        Raises:
            ValueError: A value is missing or of the wrong type.
            UsageError: The experiment or the subset is not valid.
        """
        try:
            subset = Subset.parse(stored["subset"]) if stored["subset"] else None
            data = _from_here(Path(stored["data"]))
            return cls(Experiment.from_options(**stored["config"]), data, subset, stored["written"])
        except (KeyError, TypeError):
            raise ValueError("it does not say what is trained on what") from None


def new_plan(config: str, assignments: Mapping[str, Any], data: Path, subset: Subset | None = None) -> Plan:
    """Make the plan of a new training.

    Args:
        config: A YAML file, or the name of a config that comes with shapecnn.
        assignments: Dotted keys and their values, from ``--set``.
        data: Folder of the artefacts.
        subset: Part of the data; None for all of it.

    Returns:
        The plan.

    Raises:
        UsageError: The config is not found, or a key or value in it is not valid.
    """
    return Plan(load_experiment(config, assignments), data, subset, _config_hash(config))


def is_finished(out: Path) -> bool:
    """Whether a folder holds a run whose training has finished."""
    return published(out, MODEL).exists()


def stored_plan(out: Path) -> Plan | None:
    """Read the plan of the training in a folder, finished or not.

    Args:
        out: Folder of the run.

    Returns:
        The plan; None if the folder holds no training.

    Raises:
        StoredDataError: The stored plan is damaged.
    """
    if is_finished(out):
        return _finished_plan(out)
    if not published(out / RESUME, ORIGIN).exists():
        return None
    sealed = open_sealed(out / RESUME, REMEDY)
    stored = sealed.json(ORIGIN)
    with sealed.validating(ORIGIN):
        return Plan.read(stored.get("plan"))


def plan_to_resume(
    out: Path,
    config: str | None = None,
    assignments: Mapping[str, Any] | None = None,
    data: Path | None = None,
    subset: Subset | None = None,
) -> Plan:
    """Read the plan of the training to resume, or make a new one where the folder holds none.

    Values may be given again. They must be those of the training.

    Args:
        out: Folder of the run.
        config: A YAML file or the name of a config; None for that of the training.
        assignments: Dotted keys and their values, from ``--set``.
        data: Folder of the artefacts; None for that of the training.
        subset: Part of the data; None for that of the training.

    Returns:
        The plan.

    Raises:
        MismatchError: A given value differs from that of the training.
        UsageError: There is no training and no config or data to begin one; or its data is not found.
        StoredDataError: The stored plan is damaged.
    """
    plan = stored_plan(out)
    if plan is None:
        if kind_of(out) not in ("run", "training") and (message := explain_kind(out, "a training")):
            raise UsageError(message)
        if config is None or data is None:
            raise UsageError(
                f"There is no training in {out} to go on with. To begin one: shapecnn train CONFIG --data DIR --out "
                f"{shlex.quote(str(out))}"
            )
        return new_plan(config, assignments or {}, data, subset)
    experiment = _apply_options(plan, out, config, assignments or {})
    if experiment.digest() != plan.experiment.digest():
        raise other_training(out, describe_differences(plan.experiment, experiment))
    if subset not in (None, plan.subset):
        raise other_training(out, f"--subset is {plan.subset or 'all'} there and {subset} as given now")
    if data is None and not plan.data.is_dir() and not is_finished(out):
        raise UsageError(
            f"The data of the training in {out} is no longer at {plan.data}. Say where it is: "
            f"{resume_command(out)} --data DIR"
        )
    return replace(plan, data=data or plan.data)


def other_training(out: Path, differences: str) -> MismatchError:
    """Make the error for a folder that holds a training with other settings.

    Args:
        out: Folder of the run.
        differences: Keys with both values.

    Returns:
        The error, to be raised.
    """
    if is_finished(out):
        return MismatchError(f"{out} holds a finished run with other values ({differences}). Choose another folder.")
    return MismatchError(
        f"{out} holds a training with other values ({differences}). Choose another folder, or go on with it as it is: "
        f"{resume_command(out)}"
    )


def resume_command(out: Path) -> str:
    """Command line that resumes the training in a folder."""
    return f"shapecnn train --resume {shlex.quote(str(out))}"


def describe_differences(stored: Experiment, asked: Experiment) -> str:
    """Name the first few keys in which two experiments differ, with both values.

    Args:
        stored: The experiment of the training in a folder.
        asked: The experiment that is asked for.

    Returns:
        A list of clauses, empty if the experiments are the same.
    """
    there, now = (dict(_leaves(experiment.model_dump(mode="json"))) for experiment in (stored, asked))
    pairs = {key: (_format_value(there, key), _format_value(now, key)) for key in {**there, **now}}
    return few(f"{key} is {old} there and {new} as given now" for key, (old, new) in pairs.items() if old != new)


def _format_value(leaves: Mapping[str, Any], key: str) -> str:
    """Format a value as YAML; ``absent`` for a key that only another kind of network or stage has."""
    return json.dumps(leaves[key], ensure_ascii=False) if key in leaves else "absent"


def _apply_options(plan: Plan, out: Path, config: str | None, assignments: Mapping[str, Any]) -> Experiment:
    """Apply ``--set`` to the experiment of a training, or to another config.

    The config that the training began with keeps the values that were set then.
    """
    if config is None or _config_hash(config) == plan.written:
        return changed(plan.experiment, assignments, str(out / CONFIG))
    return load_experiment(config, assignments)


def _config_hash(config: str) -> str:
    """SHA-256 (hex) of a config as it is in its file."""
    return settings_hash(read_config(config))


def _finished_plan(out: Path) -> Plan:
    """Read the plan of a finished run; a run of an earlier version may lack the hash of its config."""
    sealed, described = describe_run(out)
    config = sealed.read(CONFIG).decode("utf-8", "replace")
    with sealed.validating(CONFIG):
        values = read_yaml(config)
        experiment = Experiment.from_options(**(values if isinstance(values, dict) else {}))
    with sealed.validating(MODEL):
        stored = described.get("data")
        stored = stored if isinstance(stored, dict) else {}
        subset = stored.get("subset")
        return Plan(
            experiment, Path(str(stored.get("folder"))), Subset.parse(str(subset)) if subset else None,
            stored.get("written"),
        )  # fmt: skip


def _from_here(path: Path) -> Path:
    """Make a path relative if it is below the current folder."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted key, as ``--set`` takes it, and the value of all settings; stages go by their names."""
    if isinstance(value, dict | list):
        named = value.items() if isinstance(value, dict) else ((each.get("name"), each) for each in value)
        for name, inner in named:
            yield from _leaves(inner, f"{key}.{name}" if key else str(name))
    else:
        yield key, value
