"""Settings of a training run: its network, its validation data and its training stages, read from a YAML config.

:func:`load_experiment` reads the config and applies ``--set`` options. Comments explain the fields of the classes.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import Field, model_validator

from shapecnn.errors import UsageError, quoted
from shapecnn.settings.base import Settings, suggestion
from shapecnn.settings.config_files import read_config
from shapecnn.settings.networks import (
    LinearSettings,
    MlpSettings,
    NetworkSettings,
    ShapenetsSettings,
    Target,
    reads_neighbours,
)
from shapecnn.settings.stages import Augmentation, GradientStage, LdaStage, LogisticStage, RbmStage, Stage
from shapecnn.settings.validation import Validation, with_near_copies

_NETWORKS: tuple[type[Settings], ...] = get_args(NetworkSettings)
_STAGES: tuple[type[Settings], ...] = get_args(Stage)


class Experiment(Settings):
    """Settings of a training run. Together with the data, they determine the trained weights."""

    later: ClassVar[frozenset[str]] = frozenset({"target", "one_vs_rest"})

    network: Annotated[NetworkSettings, Field(discriminator="kind")]
    target: Target = "class"  # what the network predicts: the class, or a quantity of the shape in its place
    one_vs_rest: str | None = Field(None, min_length=1)  # one class: all other labels become "not CLASS"; null: all
    validation: Validation = Validation()
    seed: int = Field(0, ge=0)  # random seed of initial weights, batches and augmentation
    precision: Literal["auto", "float32"] = "auto"  # auto: 16-bit floats if the device supports them
    stages: tuple[Annotated[Stage, Field(discriminator="kind")], ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [stage.name for stage in self.stages]
        if len({*names}) < len(names):
            raise ValueError(f"stage names must differ: {', '.join(names)}")
        if any(isinstance(stage, LdaStage) for stage in self.stages[:-1]):
            raise ValueError("a stage of kind lda must be the last stage")
        if any(isinstance(stage, RbmStage) for stage in self.stages[1:]):
            raise ValueError("a stage of kind rbm must be the first stage, because it starts from random weights")
        if self.target != "class":
            self._check_quantity()
        for stage in self.stages:
            if isinstance(stage, GradientStage):
                self._check_loss(stage)
                self._check_descent(stage)
            elif isinstance(stage, RbmStage):
                self._check_pretraining(stage)
            elif isinstance(stage, LdaStage) and stage.profile:
                self._check_profile(stage)
        return self

    def _check_descent(self, stage: GradientStage) -> None:
        network = self.network
        if stage.augment.turn and "voxels" not in network.inputs:
            raise ValueError(
                f"stages.{stage.name}.augment.turn works on grids only; {network.kind} takes pictures, so set it to "
                f"false"
            )
        augment = stage.augment
        if stage.train_from is not None and (augment.shift or augment.turn or augment.stretch):
            raise ValueError(
                f"stages.{stage.name}: augment.shift, turn and stretch cannot be used with train_from: the "
                f"activations of frozen parts are computed only once; leave out both, or set train_from to null"
            )
        if augment.flip and reads_neighbours(network):
            raise ValueError(
                f"stages.{stage.name}.augment.flip mirrors each view but not the order of the views, which pooling "
                f"adapter reads; set it to false"
            )
        validates = stage.schedule == "plateau" or stage.early_stopping is not None
        if validates and self.validation.folds == 0:
            raise ValueError(
                f"stages.{stage.name}: plateau and early_stopping need validation data; set validation.folds to 5"
            )
        if isinstance(network, LinearSettings) and network.descriptor is not None and stage.train_from != "head":
            raise ValueError(
                f"stages.{stage.name}: the descriptor {network.descriptor} cannot be trained; set train_from to head"
            )

    def _check_quantity(self) -> None:
        if self.one_vs_rest is not None:
            raise ValueError(f"one_vs_rest divides classes, but target is {self.target}; leave one of them out")
        for stage in self.stages:
            if isinstance(stage, LdaStage | LogisticStage):
                raise ValueError(
                    f"stages.{stage.name}: a stage of kind {stage.kind} fits classes, not the {self.target}; use a "
                    f"stage of kind gradient with loss squared"
                )
        if not any(isinstance(stage, GradientStage) for stage in self.stages):
            raise ValueError(f"target {self.target} needs a stage of kind gradient with loss squared")

    def _check_loss(self, stage: GradientStage) -> None:
        if self.target == "class" and stage.loss == "squared":
            raise ValueError(
                f"stages.{stage.name}: loss squared is for a continuous target; set target to area or volume, or loss "
                f"to softmax"
            )
        if self.target != "class" and stage.loss != "squared":
            raise ValueError(
                f"stages.{stage.name}: loss {stage.loss} is for classes, but target is {self.target}; set loss to "
                f"squared"
            )
        if self.target != "class" and stage.balance:
            raise ValueError(
                f"stages.{stage.name}: balance repeats the shapes of small classes, but target is {self.target}; set "
                f"balance to false"
            )
        if stage.loss != "softmax" and stage.label_smoothing:
            raise ValueError(f"stages.{stage.name}: label_smoothing needs loss softmax; set it to 0")

    def _check_profile(self, stage: LdaStage) -> None:
        descents = [each.train_from for each in self.stages if isinstance(each, GradientStage)]
        if not descents or any(descents) or self.network.kind not in ("shapenets", "voxresnet"):
            needs = "shapenets or voxresnet, and a stage of kind gradient that trains the whole network"
            raise ValueError(f"stages.{stage.name}: profile needs {needs}; set it to false")

    def _check_pretraining(self, stage: RbmStage) -> None:
        network = self.network
        if not isinstance(network, ShapenetsSettings | MlpSettings):
            raise ValueError(f"stages.{stage.name}: a stage of kind rbm trains shapenets or mlp, not {network.kind}")
        if network.activation != "sigmoid":
            raise ValueError(f"stages.{stage.name}: a stage of kind rbm needs network.activation sigmoid")
        if isinstance(network, ShapenetsSettings) and network.normalization != "none":
            raise ValueError(f"stages.{stage.name}: a stage of kind rbm needs network.normalization none")


def load_experiment(config: str, assignments: Mapping[str, Any] | None = None) -> Experiment:
    """Load the settings of a training run from a YAML config, override some values, and validate them.

    Args:
        config: Path of a YAML file, or name of a shipped config.
        assignments: Values to override, by dotted key, such as ``{"stages.pooled.epochs": 2}``. A stage is addressed
            by its name, or by its number from 0. A nested key may be written without its group, such as ``backbone``,
            if only one group has it.

    Returns:
        The validated experiment.

    Raises:
        UsageError: The config does not exist or is not YAML, a key is unknown, or a value is not allowed.
    """
    values = read_config(config)
    try:
        return _resolved(with_near_copies(values), assignments or {}, config)
    except UsageError as error:
        known = Experiment.model_fields
        unknown = [key for key, value in values.items() if isinstance(value, dict) and not suggestion(key, known)]
        if not unknown:
            raise
        name = f"x-{unknown[0]}"
        raise UsageError(f"{error} If this key only defines an anchor (&name), rename it {quoted(name)}.") from None


def has_setting(config: str, key: str) -> bool:
    """Return whether a config has a setting, so that ``--set`` can change it.

    Args:
        config: Path of a YAML file, or name of a shipped config.
        key: Dotted key, as for :func:`load_experiment`.

    Raises:
        UsageError: The config does not exist or is not YAML.

    Example:
        >>> has_setting("ladder/lenet", "stages.views.epochs"), has_setting("ladder/mlp", "stages.views.epochs")
        (True, False)
    """
    values = read_config(config)
    try:
        whole = _whole_key(values, key)
        if whole.startswith("stages."):
            _, stage, *rest = whole.split(".")
            whole = ".".join(["stages", str(_stage(values["stages"], stage, key)["name"]), *rest])  # a number, by name
    except UsageError:
        return False
    group, _, name = whole.rpartition(".")
    settings: type[Settings] | None = _groups(values).get(group) if group else Experiment
    return settings is not None and name in settings.model_fields


def changed(experiment: Experiment, assignments: Mapping[str, Any], name: str) -> Experiment:
    """Return a copy of the settings of a training run, with some values changed.

    Args:
        experiment: The settings to copy.
        assignments: Values to change, by dotted key, as for :func:`load_experiment`.
        name: Name of the experiment in error messages, such as the path of its config.

    Raises:
        UsageError: A key is unknown, or a value is not allowed.
    """
    return _resolved(experiment.model_dump(mode="json"), assignments, name)


def _resolved(values: dict[str, Any], assignments: Mapping[str, Any], name: str) -> Experiment:
    """Set some values of a config by dotted key, and validate the config. Error messages begin with ``name``."""
    for key, value in assignments.items():
        _assign(values, _whole_key(values, key), value)
    try:
        return Experiment.from_options(**values)
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from None


def _whole_key(values: Mapping[str, Any], key: str) -> str:
    """Complete a short key such as ``backbone`` to ``network.backbone``, if only one group has a key of this name."""
    if "." in key or key in Experiment.model_fields:
        return key
    groups = _groups(values)
    matches = [f"{group}.{key}" for group, settings in groups.items() if key in settings.model_fields]
    if len(matches) > 1:
        raise UsageError(
            f"--set {key} is ambiguous, because several groups have this key: use {' or '.join(matches[:5])}."
        )
    similar = [] if matches else _similar(groups, key)
    if similar:
        raise UsageError(f"--set {key}: unknown key; did you mean {' or '.join(similar[:5])}?")
    return matches[0] if matches else key


def _groups(values: Mapping[str, Any]) -> dict[str, type[Settings]]:
    """Return the settings class of each nested group of keys in a config, by dotted key such as ``stages.head``."""
    network = values.get("network")
    kind = network.get("kind") if isinstance(network, dict) else None
    groups: dict[str, type[Settings]] = {"validation": Validation}
    for each in _NETWORKS:
        if kind in _kinds(each):
            groups["network"] = each
    stages = values.get("stages")
    for number, stage in enumerate(stages if isinstance(stages, list) else []):
        if isinstance(stage, dict):
            group = f"stages.{stage.get('name', number)}"
            kind = stage.get("kind", "gradient")
            groups[group] = next((each for each in _STAGES if kind in _kinds(each)), GradientStage)
            if groups[group] is GradientStage:
                groups[f"{group}.augment"] = Augmentation
    return groups


def _kinds(settings: type[Settings]) -> tuple[str, ...]:
    """Return the values of ``kind`` that a settings class accepts."""
    return get_args(settings.model_fields["kind"].annotation)


def _similar(groups: Mapping[str, type[Settings]], key: str) -> list[str]:
    """Return the dotted keys that a misspelt or abbreviated key may mean, such as ``learning_rate`` for ``lr``.

    If the most similar key is a top-level key, the list is empty. The validation of the whole config then suggests
    that key, together with all other errors.
    """
    whole: dict[str, list[str]] = {name: [] for name in Experiment.model_fields}
    for group, settings in groups.items():
        for name in settings.model_fields:
            whole.setdefault(name, []).append(f"{group}.{name}")
            whole.setdefault(f"{group}.{name}", []).append(f"{group}.{name}")
    unabbreviated = [
        name for name in whole if "_" in name and "".join(word[:1] for word in name.split("_")) == key.lower()
    ]
    closest = unabbreviated or difflib.get_close_matches(key[:100], whole, n=1)
    return [] if not closest or closest[0] in Experiment.model_fields else whole[closest[0]]


def _assign(values: dict[str, Any], key: str, value: Any) -> None:
    """Set the value of a dotted key in a nested config. Missing groups of keys are created."""
    *parents, last = key.split(".")
    place: Any = values
    for depth, name in enumerate(parents):
        if isinstance(place, list):
            place = _stage(place, name, key)
        elif isinstance(place, dict):
            place = place.setdefault(name, {})
        if not isinstance(place, dict | list):
            raise UsageError(f"--set {key}: {'.'.join(parents[: depth + 1])} is a single value and has no keys.")
    if isinstance(place, list):
        raise UsageError(f"--set {key}: say which key of {last!r} to set, such as {key}.epochs.")
    place[last] = value


def _stage(stages: list[Any], name: str, key: str) -> Any:
    """Return a training stage of a config by its name or number (from 0); ``key`` is shown in the error message."""
    names = [str(stage.get("name")) if isinstance(stage, dict) else "" for stage in stages]
    if name in names:
        return stages[names.index(name)]
    if name.isdecimal() and int(name) < len(stages):
        return stages[int(name)]
    raise UsageError(f"--set {key}: there is no stage {name!r}; the stages are {', '.join(names)}.")
