"""Settings of networks. ``kind`` selects the network, and :mod:`shapecnn.networks.registry` builds it."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from shapecnn.settings.base import Settings, Whole

Pooling = Literal["max", "mean"]
Activation = Literal["sigmoid", "tanh", "relu"]
DescriptorName = Literal["sph", "lfd", "fisher"]
InputKind = Literal["views", "voxels"]
QuantityName = Literal["area", "volume"]
Target = Literal["class", "area", "volume"]
Side = Annotated[int, Field(ge=4, le=1024)]

DESCRIPTOR_INPUTS: dict[DescriptorName, InputKind] = {"sph": "voxels", "lfd": "views", "fisher": "views"}
"""Kind of input of each engineered descriptor."""


class MvcnnSettings(Settings):
    """Settings of the multi-view network (MVCNN): one backbone for all views, then view pooling (Su et al. 2015)."""

    later: ClassVar[frozenset[str]] = frozenset({"width"})

    inputs: ClassVar[frozenset[InputKind]] = frozenset({"views"})

    kind: Literal["mvcnn"] = "mvcnn"
    backbone: str = "tf_efficientnet_lite0"  # short name such as dinov2-s, or name in timm or torchvision
    weights: str = "imagenet"  # imagenet: published weights; none; or a .safetensors, .pt or .pth file
    resize: Annotated[int, Field(ge=32, le=1024)] | Literal["native"] | None = None  # pixels a side; null: no resizing
    maps: str | None = None  # name of a backbone part: the maps or tokens that enter it become additional features
    pooling: Literal["max", "mean", "adapter"] = "max"  # how the views are combined; adapter: mean, plus neighbours
    width: int = Field(128, ge=1, le=4096)  # channels of the adapter
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
        if self.pool_at == "early" and self.pooling == "adapter":
            raise ValueError("pooling adapter combines features, not maps of the backbone; use pool_at late")
        return self


class ShapenetsSettings(Settings):
    """Settings of the 3D ShapeNets network: a classifier of voxel grids with three 3D convolutions (Wu et al. 2015)."""

    later: ClassVar[frozenset[str]] = frozenset({"activation"})

    inputs: ClassVar[frozenset[InputKind]] = frozenset({"voxels"})

    kind: Literal["shapenets"] = "shapenets"
    normalization: Literal["batch", "none"] = "batch"  # none as in the paper, which pre-trains each layer instead
    activation: Literal["relu", "sigmoid"] = "relu"  # sigmoid as in the paper, for layer-wise pre-training
    dropout: float = Field(0.5, ge=0, lt=1)  # dropout rate
    turns: Annotated[Literal[1, 2, 4], Whole] = 4  # rotations about z that are averaged, for shapes with a single grid


class VoxresnetSettings(Settings):
    """Settings of the residual network for voxel grids, with 3×3×3 convolutions."""

    inputs: ClassVar[frozenset[InputKind]] = frozenset({"voxels"})

    kind: Literal["voxresnet"] = "voxresnet"
    width: int = Field(32, ge=4, le=512)  # channels of the first block; later blocks double them twice
    dropout: float = Field(0.3, ge=0, lt=1)  # dropout rate
    turns: Annotated[Literal[1, 2, 4], Whole] = 4  # rotations about z that are averaged, for shapes with a single grid


class LinearSettings(Settings):
    """Settings of a network without hidden layers: logistic regression on pixels, cells or an engineered descriptor."""

    kind: Literal["linear"] = "linear"
    descriptor: DescriptorName | None = None  # input: an engineered descriptor; null: the pixels or cells themselves
    side: Side | None = None  # pixels or cells a side to which the input is scaled; null: no scaling

    @property
    def inputs(self) -> frozenset[InputKind]:
        """Kinds of artefacts that the network reads: views, voxels, or both."""
        return frozenset({"views", "voxels"} if self.descriptor is None else {DESCRIPTOR_INPUTS[self.descriptor]})

    @property
    def turns(self) -> Literal[1]:
        """Number of rotations of a shape over which the network averages: always 1."""
        return 1

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.descriptor is not None and self.side is not None:
            raise ValueError("side scales pictures or grids, and descriptor replaces them; set one of the two to null")
        return self


class MlpSettings(Settings):
    """Settings of a multilayer perceptron: fully connected hidden layers on the pixels or cells of the input."""

    inputs: ClassVar[frozenset[InputKind]] = frozenset({"views", "voxels"})

    kind: Literal["mlp"] = "mlp"
    side: Side | None = None  # pixels or cells a side to which the input is scaled; null: no scaling
    hidden: tuple[Annotated[int, Field(ge=1, le=65536)], ...] = Field((256,), min_length=1, max_length=8)  # units
    activation: Activation = "relu"
    init: Literal["glorot", "normal"] = "glorot"  # glorot: uniform, for the activation; normal: deviation 0.01
    pooling: Pooling = "mean"  # how the last hidden layer is combined over views or rotations
    dropout: float = Field(0.0, ge=0, lt=1)  # dropout rate after each hidden layer

    @property
    def turns(self) -> Literal[1]:
        """Number of rotations of a shape over which the network averages: always 1."""
        return 1


class LenetSettings(Settings):
    """Settings of LeNet-5 on views: two convolutions, each with pooling, and fully connected layers (LeCun 1998)."""

    inputs: ClassVar[frozenset[InputKind]] = frozenset({"views"})

    kind: Literal["lenet"] = "lenet"
    side: Annotated[int, Field(ge=16, le=512)] = 32  # pixels a side to which views are scaled
    activation: Activation = "tanh"
    init: Literal["glorot", "normal"] = "glorot"  # glorot: uniform, for the activation; normal: deviation 0.01
    pool: Literal["max", "mean", "gaussian"] = "max"  # pooling of 2 × 2 neighbouring pixels
    shared: bool = True  # false: locally connected layers, which have own weights for each pixel
    pooling: Pooling = "mean"  # how the views are combined
    pool_at: Literal["early", "late"] = "late"  # combine the views before or after the fully connected layers
    dropout: float = Field(0.0, ge=0, lt=1)  # dropout rate before the classifier

    @property
    def turns(self) -> Literal[1]:
        """Number of rotations of a shape over which the network averages: always 1, because views are not rotated."""
        return 1


NetworkSettings = MvcnnSettings | ShapenetsSettings | VoxresnetSettings | LinearSettings | MlpSettings | LenetSettings


def reads_neighbours(network: NetworkSettings) -> bool:
    """Return whether a network reads each view together with its neighbours, so that number and order of views matter.

    Args:
        network: Settings of the network.
    """
    return isinstance(network, MvcnnSettings) and network.pooling == "adapter"
