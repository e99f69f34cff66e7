"""A training run as one YAML file: the network, how validation data is held out, and the stages of training."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, model_validator

from shapecnn.errors import UsageError, quoted
from shapecnn.settings.core import Settings, Whole, near
from shapecnn.settings.files import read_config


class MvcnnSettings(Settings):
    """A picture network shared by all views, and view pooling (Su et al. 2015)."""

    kind: Literal["mvcnn"] = "mvcnn"
    backbone: str = "tf_efficientnet_lite0"  # of timm or torchvision
    weights: str = "imagenet"  # imagenet, none, or a file: .safetensors, .pt, .pth
    resize: Annotated[int, Field(ge=32, le=1024)] | Literal["native"] | None = None  # pixels a side; null: as they are
    maps: str | None = None  # a part of the backbone: the maps that enter it are features too, each pixel by itself
    pooling: Literal["max", "mean"] = "max"
    pool_at: Literal["early", "late"] = "late"  # before or after the backbone's last part
    dropout: float = Field(0.0, ge=0, lt=1)  # in front of the classifier

    @property
    def turns(self) -> Literal[1]:
        """Pictures are never turned: one orientation votes."""
        return 1

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.pool_at == "early" and self.maps:
            raise ValueError("pool_at early is for features without maps")
        return self


class ShapenetsSettings(Settings):
    """The three convolutions of 3D ShapeNets (Wu et al. 2015), trained discriminatively."""

    kind: Literal["shapenets"] = "shapenets"
    normalization: Literal["batch", "none"] = "batch"  # the paper, which pre-trains layer by layer, has none
    dropout: float = Field(0.5, ge=0, lt=1)
    turns: Annotated[Literal[1, 2, 4], Whole] = 4  # quarter turns about z that vote where there is one grid a shape


class VoxresnetSettings(Settings):
    """A residual network of 3×3×3 convolutions."""

    kind: Literal["voxresnet"] = "voxresnet"
    width: int = Field(32, ge=4, le=512)  # channels of the first block; they double twice
    dropout: float = Field(0.3, ge=0, lt=1)
    turns: Annotated[Literal[1, 2, 4], Whole] = 4


NetworkSettings = MvcnnSettings | ShapenetsSettings | VoxresnetSettings
_NETWORKS: tuple[type[Settings], ...] = get_args(NetworkSettings)


class Validation(Settings):
    """Which shapes of the train split are held out: one of ``folds`` stratified folds, copies of a shape together."""

    folds: int = Field(5, ge=0, le=100)  # 5 holds out a fifth; 0 trains on everything
    fold: int = Field(0, ge=0)
    seed: int = Field(0, ge=0)  # of the division, not of the training
    select: Literal["best", "last"] = "best"  # which epoch is kept, by validation accuracy

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.folds == 1:
            raise ValueError("folds 1 would leave nothing to train on; use 0 to train on everything")
        if self.folds and self.fold >= self.folds:
            raise ValueError(f"there is no fold {self.fold} among {self.folds}: they count from 0")
        if self.folds == 0 and self.select == "best":
            raise ValueError("folds 0 holds nothing out, so that no best epoch can be told: set select to last")
        return self


class Augmentation(Settings):
    """Changes drawn once for a shape in each epoch, the same for all its views."""

    flip: bool = False  # mirror left and right, in half of the cases
    shift: int = Field(0, ge=0, le=64)  # at most so many pixels or cells along each axis
    turn: bool = False  # grids: by a random number of quarter turns about z


class GradientStage(Settings):
    """Training by stochastic gradient descent."""

    kind: Literal["gradient"] = "gradient"
    name: str = Field(pattern=r"^[A-Za-z][\w-]*$")
    pooled: bool = True  # false: each view is an example of its own
    train_from: str | None = None  # the first part that is trained; null: all, head: what follows pooling
    batch_norm: Literal["train", "frozen"] = "train"  # frozen: with the statistics it came with
    epochs: int = Field(ge=1)
    batch: int = Field(32, ge=2)  # shapes, or views where they are not pooled
    optimizer: Literal["sgd", "adam", "adamw"] = "adamw"
    learning_rate: float = Field(gt=0)
    head_rate: float = Field(1.0, gt=0)  # the classifier's learning rate, as a multiple
    momentum: float = Field(0.9, ge=0, lt=1)  # of sgd
    weight_decay: float = Field(0.0, ge=0)
    schedule: Literal["constant", "step", "plateau", "cosine"] = "cosine"
    warmup: float = Field(0.0, ge=0, le=1)  # share of the steps in which the rate rises from 0
    step_epochs: int = Field(10, ge=1)  # step: epochs between two drops
    patience: int = Field(3, ge=1)  # plateau: epochs without a better validation accuracy before a drop
    factor: float = Field(0.5, gt=0, lt=1)  # step, plateau: what a drop multiplies by
    clip: float | None = Field(None, gt=0)  # largest norm of a gradient
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    balance: bool = False  # small classes are repeated until all are as large as the largest
    early_stopping: int | None = Field(None, ge=1)  # epochs without a better validation accuracy
    augment: Augmentation = Augmentation()


class LdaStage(Settings):
    """The classifier in closed form: linear discriminant analysis of the features, and cosines to the class means."""

    kind: Literal["lda"]
    name: str = Field(pattern=r"^[A-Za-z][\w-]*$")
    shrinkage: float = Field(0.3, gt=0, le=1)  # of the covariance, towards the same in all directions
    scale: float = Field(12.0, gt=0)  # of the cosines, as logits


Stage = GradientStage | LdaStage


class Experiment(Settings):
    """All that decides what is trained, but for the data."""

    network: Annotated[NetworkSettings, Field(discriminator="kind")]
    validation: Validation = Validation()
    seed: int = Field(0, ge=0)
    precision: Literal["auto", "float32"] = "auto"  # auto: 16 bits where the device computes in them
    stages: tuple[Annotated[Stage, Field(discriminator="kind")], ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [stage.name for stage in self.stages]
        if len({*names}) < len(names):
            raise ValueError(f"two stages have one name: {', '.join(names)}")
        if any(isinstance(stage, LdaStage) for stage in self.stages[:-1]):
            raise ValueError("a stage of kind lda is the last: nothing trains on in its space")
        for stage in self.stages:
            if isinstance(stage, LdaStage):
                continue
            if self.network.kind == "mvcnn" and stage.augment.turn:
                raise ValueError(f"stages.{stage.name}.augment.turn is of grids, and mvcnn sees pictures")
            if stage.train_from is not None and (stage.augment.shift or stage.augment.turn):
                raise ValueError(
                    f"stages.{stage.name}: shift and turn change what the frozen parts see, whose activations are "
                    f"computed once; leave them out, or set train_from to null"
                )
            needs = stage.schedule == "plateau" or stage.early_stopping is not None
            if needs and self.validation.folds == 0:
                raise ValueError(f"stages.{stage.name} watches validation, of which validation.folds 0 holds out none")
        return self


def load_experiment(config: str, assignments: Mapping[str, Any] | None = None) -> Experiment:
    """The experiment in a YAML file, or that of a shipped config by name, with ``{"stages.pooled.epochs": 2}`` set.

    Stages are found by name or by number from 0. Raises UsageError: no such file, not YAML, unknown key, bad value.
    """
    values = read_config(config)
    try:
        return _resolved(values, assignments or {}, config)
    except UsageError as error:
        known = Experiment.model_fields
        unknown = [key for key, value in values.items() if isinstance(value, dict) and not near(key, known)]
        if not unknown:
            raise
        name = f"x-{unknown[0]}"
        raise UsageError(f"{error} If it only holds an anchor (&name), call it {quoted(name)}.") from None


def changed(experiment: Experiment, assignments: Mapping[str, Any], name: str) -> Experiment:
    """The experiment with some values set, as :func:`load_experiment` sets them.

    Args:
        experiment: Left as it is.
        assignments: Dotted keys and their values.
        name: What an error calls it.

    Raises:
        UsageError: A key is unknown, or a value is bad.
    """
    return _resolved(experiment.model_dump(mode="json"), assignments, name)


def _resolved(values: dict[str, Any], assignments: Mapping[str, Any], name: str) -> Experiment:
    for key, value in assignments.items():
        _assign(values, _whole_key(values, key), value)
    try:
        return Experiment.from_options(**values)
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from None


def _whole_key(values: Mapping[str, Any], key: str) -> str:
    """A key with what it stands in: ``backbone`` → ``network.backbone``, where only one place of the config has it."""
    if "." in key or key in Experiment.model_fields:
        return key
    places = _places(values)
    found = [f"{place}.{key}" for place, settings in places.items() if key in settings.model_fields]
    if len(found) > 1:
        raise UsageError(f"--set {key}: which one? {' or '.join(found[:5])}.")
    meant = found or _meant(places, key)
    if not found and meant:
        raise UsageError(f"--set {key}: there is no such key; did you mean {' or '.join(meant[:5])}?")
    return found[0] if found else key


def _places(values: Mapping[str, Any]) -> dict[str, type[Settings]]:
    """The settings inside those of the experiment, by the key of each in this config."""
    network = values.get("network")
    kind = network.get("kind") if isinstance(network, dict) else None
    groups: dict[str, type[Settings]] = {"validation": Validation}
    for each in _NETWORKS:
        if kind in get_args(each.model_fields["kind"].annotation):
            groups["network"] = each
    stages = values.get("stages")
    for number, stage in enumerate(stages if isinstance(stages, list) else []):
        if isinstance(stage, dict):
            place = f"stages.{stage.get('name', number)}"
            groups[place] = LdaStage if stage.get("kind") == "lda" else GradientStage
            if groups[place] is GradientStage:
                groups[f"{place}.augment"] = Augmentation
    return groups


def _meant(places: Mapping[str, type[Settings]], key: str) -> list[str]:
    """The whole keys that are most like a misspelt one, or that it is short for: ``lr`` for ``learning_rate``. None
    where one of the experiment itself is as near, which is told beside all others that are wrong."""
    whole: dict[str, list[str]] = {name: [] for name in Experiment.model_fields}
    for place, settings in places.items():
        for name in settings.model_fields:
            whole.setdefault(name, []).append(f"{place}.{name}")
            whole.setdefault(f"{place}.{name}", []).append(f"{place}.{name}")
    short = [name for name in whole if "_" in name and "".join(word[:1] for word in name.split("_")) == key.lower()]
    closest = short or difflib.get_close_matches(key[:100], whole, n=1)
    return [] if not closest or closest[0] in Experiment.model_fields else whole[closest[0]]


def _assign(values: dict[str, Any], key: str, value: Any) -> None:
    """Set the value behind a dotted key; what lies on the way is made where it is missing."""
    *parents, last = key.split(".")
    place: Any = values
    for depth, name in enumerate(parents):
        if isinstance(place, list):
            place = _stage(place, name, key)
        elif isinstance(place, dict):
            place = place.setdefault(name, {})
        if not isinstance(place, dict | list):
            raise UsageError(f"--set {key}: {'.'.join(parents[: depth + 1])} holds a value and no keys.")
    if isinstance(place, list):
        raise UsageError(f"--set {key}: say which key of {last!r} to set, such as {key}.epochs.")
    place[last] = value


def _stage(stages: list[Any], name: str, key: str) -> Any:
    names = [str(stage.get("name")) if isinstance(stage, dict) else "" for stage in stages]
    if name in names:
        return stages[names.index(name)]
    if name.isdecimal() and int(name) < len(stages):
        return stages[int(name)]
    raise UsageError(f"--set {key}: there is no stage {name!r}; there are {', '.join(names)}.")
