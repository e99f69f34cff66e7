"""What is trained on what; and how a training that was begun is found again, by its folder alone."""

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
from shapecnn.settings.core import few, settings_hash
from shapecnn.settings.experiment import Experiment, changed, load_experiment
from shapecnn.settings.files import read_config
from shapecnn.settings.yaml_core import read_yaml
from shapecnn.storage.kinds import kind_of, taken_for
from shapecnn.storage.publishing import RESUME, published
from shapecnn.storage.sealed import open_sealed
from shapecnn.training.resume import REMEDY

ORIGIN = "origin.json"


@dataclass(frozen=True, slots=True)
class Plan:
    """experiment: the network and its stages.  data: a folder of artefacts.  subset: None: all of it.  written: the
    hash of the config as it was written, before --set; None: not known."""

    experiment: Experiment
    data: Path
    subset: Subset | None = None
    written: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As :meth:`read` reads it, wherever one stands."""
        return {
            "config": self.experiment.model_dump(mode="json"),
            "data": str(self.data.absolute()),
            "subset": str(self.subset) if self.subset else None,
            "written": self.written,
        }

    @classmethod
    def read(cls, stored: Any) -> Plan:
        """The plan that was stored.  Raises ValueError or UsageError for what is none."""
        try:
            subset = Subset.parse(stored["subset"]) if stored["subset"] else None
            data = _from_here(Path(stored["data"]))
            return cls(Experiment.from_options(**stored["config"]), data, subset, stored["written"])
        except (KeyError, TypeError):
            raise ValueError("it does not say what is trained on what") from None


def new_plan(config: str, assignments: Mapping[str, Any], data: Path, subset: Subset | None = None) -> Plan:
    """That of a config, with what ``--set`` changes in it.  Raises UsageError as :func:`load_experiment` does."""
    return Plan(load_experiment(config, assignments), data, subset, _written(config))


def is_finished(out: Path) -> bool:
    """Whether ``out`` holds a run whose training has ended."""
    return published(out, MODEL).exists()


def begun_plan(out: Path) -> Plan | None:
    """That of the training in ``out``, finished or not; None if none was begun there.

    Raises:
        StoredDataError: What is kept of it is damaged.
    """
    if is_finished(out):
        return _finished_plan(out)
    if not published(out / RESUME, ORIGIN).exists():
        return None
    sealed = open_sealed(out / RESUME, REMEDY)
    stored = sealed.json(ORIGIN)
    with sealed.expecting(ORIGIN):
        return Plan.read(stored.get("plan"))


def plan_to_resume(
    out: Path,
    config: str | None = None,
    assignments: Mapping[str, Any] | None = None,
    data: Path | None = None,
    subset: Subset | None = None,
) -> Plan:
    """That of the training in ``out``, which nothing given besides may contradict; where none was begun, a new one.

    Args:
        out: The folder of the run.
        config: The config it was begun with, or one that comes to the same; None: its own.
        assignments: What ``--set`` gives: values that it has.
        data: Where its data is now; None: where it was.
        subset: That it was begun with; None: that, whichever it is.

    Raises:
        MismatchError: Something given differs from what it was begun with; both are named.
        UsageError: There is no training, and too little is given to begin one; or its data is no longer there.
        StoredDataError: What is kept of it is damaged.
    """
    begun = begun_plan(out)
    if begun is None:
        if kind_of(out) not in ("run", "training") and (told := taken_for(out, "a training")):
            raise UsageError(told)
        if config is None or data is None:
            raise UsageError(
                f"There is no training in {out} to go on with. To begin one: shapecnn train CONFIG --data DIR --out "
                f"{shlex.quote(str(out))}"
            )
        return new_plan(config, assignments or {}, data, subset)
    given = _given(begun, out, config, assignments or {})
    if given.digest() != begun.experiment.digest():
        raise other_training(out, unlike(begun.experiment, given))
    if subset not in (None, begun.subset):
        raise other_training(out, f"--subset is {begun.subset or 'all'} there and {subset} as given now")
    if data is None and not begun.data.is_dir() and not is_finished(out):
        raise UsageError(
            f"The data of the training in {out} is no longer at {begun.data}. Say where it is: "
            f"{resume_command(out)} --data DIR"
        )
    return replace(begun, data=data or begun.data)


def other_training(out: Path, how: str) -> MismatchError:
    """The complaint that ``out`` holds another training than the one that is asked for."""
    finished = is_finished(out)
    go_on = "" if finished else f" To go on with it as it was begun: {resume_command(out)}."
    what = "a finished run" if finished else "a training"
    return MismatchError(
        f"{out} holds {what} with other values ({how}).{go_on} To train with those given now, choose another folder."
    )


def resume_command(out: Path) -> str:
    """What a person types to go on with the training in ``out``."""
    return f"shapecnn train --resume {shlex.quote(str(out))}"


def unlike(begun: Experiment, given: Experiment) -> str:
    """Which keys differ, a few of them, with both values."""
    there, now = (dict(_leaves(each.model_dump(mode="json"))) for each in (begun, given))
    told = {key: (_shown(there, key), _shown(now, key)) for key in {**there, **now}}
    return few(f"{key} is {old} there and {new} as given now" for key, (old, new) in told.items() if old != new)


def _shown(leaves: Mapping[str, Any], key: str) -> str:
    """A value as YAML has it; ``absent`` for that of another kind of network or stage."""
    return json.dumps(leaves[key], ensure_ascii=False) if key in leaves else "absent"


def _given(begun: Plan, out: Path, config: str | None, assignments: Mapping[str, Any]) -> Experiment:
    """What is asked for. The config it was begun with, by itself, asks for no other values than it was begun with."""
    if config is None or _written(config) == begun.written:
        return changed(begun.experiment, assignments, str(out / CONFIG))
    return load_experiment(config, assignments)


def _written(config: str) -> str:
    return settings_hash(read_config(config))


def _finished_plan(out: Path) -> Plan:
    """What a finished run says of it; of one by an earlier version, what it says."""
    sealed, described = describe_run(out)
    config = sealed.read(CONFIG).decode("utf-8", "replace")
    with sealed.expecting(CONFIG):
        values = read_yaml(config)
        experiment = Experiment.from_options(**(values if isinstance(values, dict) else {}))
    with sealed.expecting(MODEL):
        stored = described.get("data")
        stored = stored if isinstance(stored, dict) else {}
        subset = stored.get("subset")
        return Plan(
            experiment, Path(str(stored.get("folder"))), Subset.parse(str(subset)) if subset else None,
            stored.get("written"),
        )  # fmt: skip


def _from_here(path: Path) -> Path:
    """A path as one would type it, if it is below the current folder."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted key and value of all that is no mapping and no list; stages by their names, as ``--set`` takes them."""
    if isinstance(value, dict | list):
        named = value.items() if isinstance(value, dict) else ((each.get("name"), each) for each in value)
        for name, inner in named:
            yield from _leaves(inner, f"{key}.{name}" if key else str(name))
    else:
        yield key, value
