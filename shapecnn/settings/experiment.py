"""Settings of a training run: its network, its validation data and its training stages, read from a YAML config.

:func:`load_experiment` reads the config and applies ``--set`` options. Comments explain the fields of the classes.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, model_validator

from shapecnn.errors import UsageError, quoted
from shapecnn.settings.base import Settings, Whole, suggestion
from shapecnn.settings.config_files import read_config


class MvcnnSettings(Settings):
    """Settings of the multi-view network (MVCNN): one backbone for all views, then view pooling (Su et al. 2015)."""

    kind: Literal["mvcnn"] = "mvcnn"
    backbone: str = "tf_efficientnet_lite0"  # name of a model in timm or torchvision
    weights: str = "imagenet"  # imagenet, none, or a .safetensors, .pt or .pth file
    resize: Annotated[int, Field(ge=32, le=1024)] | Literal["native"] | None = None  # pixels a side; null: no resizing
    maps: str | None = None  # name of a backbone part: the feature maps that enter it become additional features
    pooling: Literal["max", "mean"] = "max"  # how the views are combined
    pool_at: Literal["early", "late"] = "late"  # pool views before or after the last part of the backbone
    dropout: float = Field(0.0, ge=0, lt=1)  # dropout rate before the classifier

    @property
    def turns(self) -> Literal[1]:
        """Number of rotations of a shape over which the network averages: always 1, because views are not rotated."""
        return 1

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.pool_at == "early" and self.maps:
            raise ValueError("pool_at early cannot be combined with maps; use pool_at late, or set maps to null")
        return self


class ShapenetsSettings(Settings):
    """Settings of the 3D ShapeNets network: a classifier of voxel grids with three 3D convolutions (Wu et al. 2015)."""

    kind: Literal["shapenets"] = "shapenets"
    normalization: Literal["batch", "none"] = "batch"  # none as in the paper, which pre-trains each layer instead
    dropout: float = Field(0.5, ge=0, lt=1)  # dropout rate
    turns: Annotated[Literal[1, 2, 4], Whole] = 4  # rotations about z that are averaged, for shapes with a single grid


class VoxresnetSettings(Settings):
    """Settings of the residual network for voxel grids, with 3×3×3 convolutions."""

    kind: Literal["voxresnet"] = "voxresnet"
    width: int = Field(32, ge=4, le=512)  # channels of the first block; later blocks double them twice
    dropout: float = Field(0.3, ge=0, lt=1)  # dropout rate
    turns: Annotated[Literal[1, 2, 4], Whole] = 4  # rotations about z that are averaged, for shapes with a single grid


NetworkSettings = MvcnnSettings | ShapenetsSettings | VoxresnetSettings
_NETWORKS: tuple[type[Settings], ...] = get_args(NetworkSettings)


class Validation(Settings):
    """Settings of the validation data: the train split is divided into stratified folds, and one fold is held out.

    Identical shapes are always in the same fold.
    """

    folds: int = Field(5, ge=0, le=100)  # number of folds: 5 holds out a fifth of the shapes, 0 holds out none
    fold: int = Field(0, ge=0)  # number of the held-out fold, from 0
    seed: int = Field(0, ge=0)  # random seed of the division into folds
    select: Literal["best", "last"] = "best"  # epoch whose weights are kept: highest validation accuracy, or last

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.folds == 1:
            raise ValueError("folds 1 would leave nothing to train on; use 0 to train on everything")
        if self.folds and self.fold >= self.folds:
            raise ValueError(f"fold {self.fold} does not exist; with {self.folds} folds, use 0 to {self.folds - 1}")
        if self.folds == 0 and self.select == "best":
            raise ValueError("folds 0 leaves no validation data to select the best epoch; set select to last")
        return self


class Augmentation(Settings):
    """Settings of data augmentation: random changes of a shape in each epoch, the same for all its views or grids."""

    flip: bool = False  # mirror left and right with probability 0.5
    shift: int = Field(0, ge=0, le=64)  # largest random shift along each axis, in pixels or cells
    turn: bool = False  # grids only: rotate by a random number of quarter turns about z


class GradientStage(Settings):
    """Settings of a training stage by stochastic gradient descent."""

    kind: Literal["gradient"] = "gradient"
    name: str = Field(pattern=r"^[A-Za-z][\w-]*$")  # name of the stage, for --set and for messages
    pooled: bool = True  # true: an example is a shape with all its views; false: an example is a single view
    train_from: str | None = None  # first network part to train: null for all, head for the layers after pooling
    batch_norm: Literal["train", "frozen"] = "train"  # frozen: batch normalization keeps the pretrained statistics
    epochs: int = Field(ge=1)  # number of epochs
    batch: int = Field(32, ge=2)  # shapes in a batch, or views if pooled is false
    optimizer: Literal["sgd", "adam", "adamw"] = "adamw"
    learning_rate: float = Field(gt=0)  # highest learning rate of the schedule
    head_rate: float = Field(1.0, gt=0)  # learning rate of the classifier, relative to learning_rate
    momentum: float = Field(0.9, ge=0, lt=1)  # for the optimizer sgd only
    weight_decay: float = Field(0.0, ge=0)
    schedule: Literal["constant", "step", "plateau", "cosine"] = "cosine"
    warmup: float = Field(0.0, ge=0, le=1)  # fraction of the steps during which the learning rate rises from 0
    step_epochs: int = Field(10, ge=1)  # for schedule step: epochs between two reductions of the learning rate
    patience: int = Field(3, ge=1)  # for schedule plateau: epochs without improvement before a reduction
    factor: float = Field(0.5, gt=0, lt=1)  # for schedules step and plateau: factor of each reduction
    clip: float | None = Field(None, gt=0)  # gradient clipping: largest norm of the gradient
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    balance: bool = False  # repeat the shapes of small classes until all classes are equally large
    early_stopping: int | None = Field(None, ge=1)  # epochs without improvement before the stage ends
    augment: Augmentation = Augmentation()


class LdaStage(Settings):
    """Settings of a training stage that computes the classifier in closed form, by linear discriminant analysis (LDA).

    The logits are the cosines to the class means in the discriminant space, times ``scale``.
    """

    kind: Literal["lda"]
    name: str = Field(pattern=r"^[A-Za-z][\w-]*$")  # name of the stage, for --set and for messages
    shrinkage: float = Field(0.3, gt=0, le=1)  # shrinkage of the covariance towards a multiple of the identity
    scale: float = Field(12.0, gt=0)  # factor that turns cosines into logits


Stage = GradientStage | LdaStage


class Experiment(Settings):
    """Settings of a training run. Together with the data, they determine the trained weights."""

    network: Annotated[NetworkSettings, Field(discriminator="kind")]
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
        for stage in self.stages:
            if isinstance(stage, LdaStage):
                continue
            if self.network.kind == "mvcnn" and stage.augment.turn:
                raise ValueError(
                    f"stages.{stage.name}.augment.turn works on grids only; mvcnn takes pictures, so set it to false"
                )
            if stage.train_from is not None and (stage.augment.shift or stage.augment.turn):
                raise ValueError(
                    f"stages.{stage.name}: augment.shift and augment.turn cannot be used with train_from: the "
                    f"activations of frozen parts are computed only once; leave out both, or set train_from to null"
                )
            validates = stage.schedule == "plateau" or stage.early_stopping is not None
            if validates and self.validation.folds == 0:
                raise ValueError(
                    f"stages.{stage.name}: plateau and early_stopping need validation data; set validation.folds to 5"
                )
        return self


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
        return _resolved(values, assignments or {}, config)
    except UsageError as error:
        known = Experiment.model_fields
        unknown = [key for key, value in values.items() if isinstance(value, dict) and not suggestion(key, known)]
        if not unknown:
            raise
        name = f"x-{unknown[0]}"
        raise UsageError(f"{error} If this key only defines an anchor (&name), rename it {quoted(name)}.") from None


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
        if kind in get_args(each.model_fields["kind"].annotation):
            groups["network"] = each
    stages = values.get("stages")
    for number, stage in enumerate(stages if isinstance(stages, list) else []):
        if isinstance(stage, dict):
            group = f"stages.{stage.get('name', number)}"
            groups[group] = LdaStage if stage.get("kind") == "lda" else GradientStage
            if groups[group] is GradientStage:
                groups[f"{group}.augment"] = Augmentation
    return groups


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
