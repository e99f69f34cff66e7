"""Plan of a training: settings and data folder. The plan to resume a training is read from the folder of the run."""

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
from shapecnn.storage.objects.url import Url, as_path
from shapecnn.storage.publishing import published
from shapecnn.storage.sealed import open_sealed
from shapecnn.storage.unfinished import RESUME, RESUME_REMEDY

ORIGIN = "origin.json"


@dataclass(frozen=True, slots=True)
class Plan:
    """Plan of a training: the settings and the folder of the data.

    Attributes:
        experiment: Settings of the network, the validation and the training stages.
        data: Folder of the artefacts (views or voxel grids).
        subset: Selection of shapes to train on; None for all shapes.
        written: SHA-256 (hex) of the config file before ``--set`` changes its values; None if unknown.
    """

    experiment: Experiment
    data: Path
    subset: Subset | None = None
    written: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the plan as a JSON object with an absolute path of the data; :meth:`read` reads this object."""
        return {
            "config": self.experiment.model_dump(mode="json"),
            "data": str(self.data.absolute()),
            "subset": str(self.subset) if self.subset else None,
            "written": self.written,
        }

    @classmethod
    def read(cls, stored: Any) -> Plan:
        """Create the plan of a training from the JSON object that :meth:`to_json` returned.

        Args:
            stored: JSON object from :meth:`to_json`.

        Returns:
            The plan. The path of the data is relative if it is below the current working directory.

        Raises:
            ValueError: A value is missing or of the wrong type.
            UsageError: The experiment or the subset is not valid.
        """
        try:
            subset = Subset.parse(stored["subset"]) if stored["subset"] else None
            data = _from_here(as_path(stored["data"]))
            return cls(Experiment.from_options(**stored["config"]), data, subset, stored["written"])
        except (KeyError, TypeError):
            raise ValueError("the stored plan of the training lacks the config or the data folder") from None


def new_plan(config: str, assignments: Mapping[str, Any], data: Path, subset: Subset | None = None) -> Plan:
    """Create the plan of a new training from a config, ``--set`` options and a data folder.

    Args:
        config: Path of a YAML file, or name of a shipped config.
        assignments: Values of ``--set`` options by dotted key.
        data: Folder of the artefacts (views or voxel grids).
        subset: Selection of shapes to train on; None for all shapes.

    Returns:
        The plan.

    Raises:
        UsageError: The config does not exist, or contains an invalid key or value.
    """
    return Plan(load_experiment(config, assignments), data, subset, _config_hash(config))


def is_finished(out: Path) -> bool:
    """Return whether a folder contains a run whose training has finished."""
    return published(out, MODEL).exists()


def stored_plan(out: Path) -> Plan | None:
    """Read the plan (settings and data folder) of the finished or unfinished training in a folder.

    Args:
        out: Folder of the run.

    Returns:
        The plan; None if the folder contains no training.

    Raises:
        StoredDataError: The stored plan is damaged.
    """
    if is_finished(out):
        return _finished_plan(out)
    if not published(out / RESUME, ORIGIN).exists():
        return None
    sealed = open_sealed(out / RESUME, RESUME_REMEDY)
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
    """Read the plan to resume the training in a folder, or create a new plan if the folder contains no training.

    Config, ``--set`` options and subset are optional when resuming, but must not differ from the stored plan.

    Args:
        out: Folder of the run.
        config: Path of a YAML file, or name of a shipped config; None for the stored config.
        assignments: Values of ``--set`` options by dotted key.
        data: Folder of the artefacts (views or voxel grids); None for the stored folder.
        subset: Selection of shapes to train on; None for the stored selection.

    Returns:
        The plan.

    Raises:
        MismatchError: The config, a ``--set`` option or the subset differs from the stored plan.
        UsageError: The folder has no training, and ``config`` or ``data`` is None. Or the data of the stored plan no
            longer exists.
        StoredDataError: The stored plan is damaged.
    """
    plan = stored_plan(out)
    if plan is None:
        if kind_of(out) not in ("run", "training") and (message := explain_kind(out, "a training")):
            raise UsageError(message)
        if config is None or data is None:
            raise UsageError(
                f"{out} contains no training to resume. To start one: shapecnn train CONFIG --data DIR --out "
                f"{shlex.quote(str(out))}"
            )
        return new_plan(config, assignments or {}, data, subset)
    experiment = _apply_options(plan, out, config, assignments or {})
    if experiment.digest() != plan.experiment.digest():
        raise other_training(out, describe_differences(plan.experiment, experiment))
    if subset not in (None, plan.subset):
        raise other_training(out, f"--subset was {plan.subset or 'all'} and is now {subset}")
    if data is None and not (isinstance(plan.data, Url) or plan.data.is_dir()) and not is_finished(out):
        raise UsageError(
            f"The data of the training in {out} is no longer at {plan.data}. Give the new folder of the data: "
            f"{resume_command(out)} --data DIR"
        )
    return replace(plan, data=data or plan.data)


def other_training(out: Path, differences: str) -> MismatchError:
    """Create the error for a folder whose training has other settings than the requested training.

    Args:
        out: Folder of the run.
        differences: Text that names the differing settings with both values.

    Returns:
        The error, for the caller to raise.
    """
    if is_finished(out):
        return MismatchError(
            f"{out} contains a finished run with other settings ({differences}). Choose another folder."
        )
    return MismatchError(
        f"{out} contains a training with other settings ({differences}). Choose another folder, or continue with the "
        f"stored settings: {resume_command(out)}"
    )


def resume_command(out: Path) -> str:
    """Return the command line that resumes the training in a folder."""
    return f"shapecnn train --resume {shlex.quote(str(out))}"


def describe_differences(stored: Experiment, asked: Experiment) -> str:
    """Describe up to 5 settings that differ between a stored and a requested training, each with both values.

    Args:
        stored: Settings of the training in a folder.
        asked: Settings of the requested training.

    Returns:
        Text such as ``seed was 0 and is now 7``; empty if the settings are equal.
    """
    there, now = (dict(_leaves(experiment.model_dump(mode="json"))) for experiment in (stored, asked))
    pairs = {key: (_format_value(there, key), _format_value(now, key)) for key in {**there, **now}}
    return few(f"{key} was {old} and is now {new}" for key, (old, new) in pairs.items() if old != new)


def _format_value(leaves: Mapping[str, Any], key: str) -> str:
    """Format the value of a settings key as JSON text; return ``absent`` if the settings do not have the key."""
    return json.dumps(leaves[key], ensure_ascii=False) if key in leaves else "absent"


def _apply_options(plan: Plan, out: Path, config: str | None, assignments: Mapping[str, Any]) -> Experiment:
    """Return the settings of a training, changed by ``--set`` options.

    The options change the stored settings, which include earlier ``--set`` options, if ``config`` is None or the config
    that the training was started with. Otherwise they change the settings in ``config``.
    """
    if config is None or _config_hash(config) == plan.written:
        return changed(plan.experiment, assignments, str(out / CONFIG))
    return load_experiment(config, assignments)


def _config_hash(config: str) -> str:
    """Return the SHA-256 hash (hex) of the keys and values in a config file."""
    return settings_hash(read_config(config))


def _finished_plan(out: Path) -> Plan:
    """Read the plan of a finished run. Runs that early versions of shapecnn wrote may lack the hash of the config."""
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
            experiment, as_path(str(stored.get("folder"))), Subset.parse(str(subset)) if subset else None,
            stored.get("written"),
        )  # fmt: skip


def _from_here(path: Path) -> Path:
    """Make a path relative if it is below the current working directory; otherwise return it unchanged."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the key and value of each setting of an experiment; a key is dotted, such as ``stages.head.epochs``."""
    stages = isinstance(value, list) and all(isinstance(each, dict) for each in value)
    if isinstance(value, dict) or stages:
        named = value.items() if isinstance(value, dict) else ((each.get("name"), each) for each in value)
        for name, inner in named:
            yield from _leaves(inner, f"{key}.{name}" if key else str(name))
    else:
        yield key, value
