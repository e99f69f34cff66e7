"""From settings to the network they name, the same on every machine."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load, save
from torch import nn

from shapecnn.errors import UsageError
from shapecnn.models.conversion import Queue, convert
from shapecnn.networks.adapter import RingAdapter
from shapecnn.networks.network import FeaturesAlone, ShapeNetwork
from shapecnn.networks.registry import build_network, fitting_state
from shapecnn.settings.networks import (
    InputKind,
    LenetSettings,
    LinearSettings,
    MlpSettings,
    MvcnnSettings,
    NetworkSettings,
    ShapenetsSettings,
    VoxresnetSettings,
)

MVCNN = MvcnnSettings(backbone="test_efficientnet", weights="none")
Case = tuple[NetworkSettings, InputKind, int, int]
CASES: dict[str, Case] = {  # settings, kind and side of the input, number of features
    "mvcnn": (MVCNN, "views", 32, 256),
    "mvcnn-adapter": (MVCNN.model_copy(update={"pooling": "adapter", "width": 8}), "views", 32, 256),
    "shapenets": (ShapenetsSettings(), "voxels", 26, 1200),
    "shapenets-sigmoid": (ShapenetsSettings(activation="sigmoid", normalization="none"), "voxels", 26, 1200),
    "voxresnet": (VoxresnetSettings(width=4), "voxels", 12, 16),
    "linear-views": (LinearSettings(), "views", 20, 400),
    "linear-voxels": (LinearSettings(), "voxels", 12, 1728),
    "linear-scaled": (LinearSettings(side=5), "voxels", 12, 125),
    "mlp-views": (MlpSettings(), "views", 20, 256),
    "mlp-voxels": (MlpSettings(), "voxels", 12, 256),
    "mlp-deep": (MlpSettings(side=7, hidden=(40, 30), activation="sigmoid", pooling="max"), "views", 20, 30),
    "lenet": (LenetSettings(), "views", 40, 84),
    "lenet-local": (LenetSettings(shared=False, pool="gaussian"), "views", 32, 84),
    "lenet-early": (LenetSettings(side=20, pool_at="early", pooling="max", pool="mean"), "views", 32, 84),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


def inputs(kind: InputKind, side: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    views = kind == "views"
    size = (1, 2, *[side] * (2 if views else 3))
    return torch.randint(0, 256 if views else 2, size, dtype=torch.uint8, generator=generator)


def build(case: Case, seed: int = 0) -> ShapeNetwork:
    settings, kind, side, _ = case
    return build_network(settings, side, 3, seed=seed, kind=kind)


def test_settings_name_a_network(case: Case) -> None:
    settings, kind, side, features = case
    network = build(case).eval()
    with torch.inference_mode():
        found = network(inputs(kind, side))
    assert [tensor.shape for tensor in found] == [(1, 3), (1, features)]
    assert network.feature_size == features
    if getattr(settings, "pooling", "mean") == "adapter":
        assert isinstance(network.pooling, RingAdapter)
        assert network.pooling.down.out_features == 8
    else:
        assert network.pooling == getattr(settings, "pooling", "mean")


def test_the_seed_alone_decides_what_is_not_pretrained(case: Case) -> None:
    torch.manual_seed(5)
    following = torch.rand(1)
    torch.manual_seed(5)
    first = build(case, seed=1).state_dict()
    assert torch.equal(torch.rand(1), following)  # and no trace is left
    torch.manual_seed(6)
    second = build(case, seed=1).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)
    other = build(case, seed=2).state_dict()
    drawn = [key for key in first if key.endswith("weight") and first[key].ndim > 1 and key != "pooling.up.weight"]
    assert not any(torch.equal(first[key], other[key]) for key in drawn)


def test_stored_weights_make_the_same_network(case: Case) -> None:
    settings, kind, side, _ = case
    network, restored = build(case, seed=1).eval(), build(case, seed=2).eval()
    state = load(save(network.state_dict()))
    fitting_state(state, settings, side, kind=kind)
    restored.load(state)
    with torch.inference_mode():
        seen = inputs(kind, side)
        assert all(map(torch.equal, restored(seen), network(seen)))


def test_weights_of_another_shape_are_recognised(case: Case) -> None:
    settings, kind, side, _ = case
    state = build(case).state_dict()
    checked = [name for name in state if not name.startswith("classifier")]
    for name in checked[:1] + checked[-1:]:
        for wrong in ({**state, name: state[name][None]}, {key: state[key] for key in state if key != name}):
            with pytest.raises(RuntimeError, match=rf"tensor {name} is missing or has the wrong shape"):
                fitting_state(wrong, settings, side, kind=kind)


@pytest.mark.parametrize("name", ["linear-views", "linear-scaled", "mlp-deep", "lenet", "lenet-local", "lenet-early"])
def test_openvino_computes_what_torch_computes(name: str) -> None:
    """The small networks; tests/models/test_engine.py runs the others with OpenVINO."""
    _, kind, side, _ = CASES[name]
    seen, network = inputs(kind, side), FeaturesAlone(build(CASES[name]), views=True).eval()
    with torch.inference_mode():
        expected = network(seen)
    queue = Queue(*convert(network, tuple(seen.shape[1:])), exact=True)
    queue.start(0, seen[0].numpy())
    queue.wait()
    ((_, found),) = queue.finished()
    for array, tensor in zip(found, expected, strict=True):
        np.testing.assert_allclose(array, tensor[0].numpy(), rtol=1e-3, atol=1e-4)


def test_each_setting_of_a_network_has_its_effect() -> None:
    mean = build_network(MVCNN.model_copy(update={"pooling": "mean", "dropout": 0.25}), 32, 3)
    assert (mean.pooling, mean.dropout.p) == ("mean", 0.25)
    early = build_network(MVCNN.model_copy(update={"pool_at": "early"}), 32, 3)
    assert len(early.parts) == len(mean.parts) - 1
    plain = build_network(ShapenetsSettings(normalization="none", dropout=0.1), 26, 3)
    assert plain.dropout.p == 0.1
    assert not [key for key in plain.state_dict() if "running_mean" in key]
    wide = build_network(VoxresnetSettings(width=8, dropout=0.2), 12, 3)
    assert (wide.feature_size, wide.dropout.p) == (32, 0.2)
    saturating = build_network(ShapenetsSettings(activation="sigmoid"), 26, 3)
    assert sum(isinstance(module, nn.Sigmoid) for module in saturating.modules()) == 4
    mlp = build_network(MlpSettings(hidden=(9,), activation="tanh", init="normal", dropout=0.3), 24, 3, kind="views")
    assert isinstance(mlp.get_submodule("parts.hidden1.1"), nn.Tanh)
    assert float(mlp.get_parameter("parts.hidden1.0.weight").detach().std()) == pytest.approx(0.01, rel=0.1)
    assert (mlp.feature_size, mlp.dropout.p) == (9, 0.3)
    settings = LenetSettings(activation="relu", init="normal", pool="mean", dropout=0.4)
    lenet = build_network(settings, 32, 3)
    assert [type(layer) for layer in lenet.parts["conv2"].children()] == [nn.Conv2d, nn.ReLU, nn.AvgPool2d]
    assert float(lenet.get_parameter("parts.full1.1.weight").detach().std()) == pytest.approx(0.01, rel=0.1)
    assert lenet.dropout.p == 0.4


def test_alexnet_has_the_parameters_of_torchvision() -> None:
    with torch.device("meta"):  # no memory for its 61 million weights
        alexnet = build_network(MvcnnSettings(backbone="alexnet", weights="none"), 224, 1000)
    assert alexnet.parameter_count == 61_100_840


def test_pictures_the_backbone_does_not_take_are_refused() -> None:
    with pytest.raises(
        UsageError, match=r"alexnet cannot process pictures of 32 pixels .* trained on 224 pixels: use --set size=224"
    ):
        build_network(MvcnnSettings(backbone="alexnet", weights="none"), 32, 3)


@pytest.mark.parametrize(
    ("settings", "side", "message"),
    [
        (LinearSettings(side=25), 24, "down to 25 pixels a side, but the input has 24"),
        (MlpSettings(side=25), 24, "down to 25 pixels a side, but the input has 24"),
        (LenetSettings(side=25), 24, "down to 25 pixels a side, but the input has 24"),
        (LenetSettings(), 12, "at least 16 pixels a side, not 12"),
    ],
)
def test_views_smaller_than_the_network_needs_are_refused(settings: NetworkSettings, side: int, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build_network(settings, side, 3, kind="views")


def test_a_kind_of_input_that_a_network_does_not_read_is_refused() -> None:
    with pytest.raises(UsageError, match="lenet reads views: set kind to one of them, not to voxels"):
        build_network(LenetSettings(), 32, 3, kind="voxels")
    with pytest.raises(UsageError, match="linear reads views and voxels: set kind to one of them, not to None"):
        build_network(LinearSettings(), 32, 3)
    with pytest.raises(UsageError, match="linear reads voxels: set kind to one of them, not to views"):
        build_network(LinearSettings(descriptor="sph"), 64, 3, kind="views")


@pytest.mark.parametrize("kind", ["views", "voxels"])
def test_what_a_network_reads(kind: str) -> None:
    assert kind in LinearSettings().inputs
    assert kind in MlpSettings().inputs
    assert (kind in LenetSettings().inputs) == (kind == "views")
    assert (kind in MvcnnSettings().inputs) == (kind == "views")
    assert (kind in ShapenetsSettings().inputs) == (kind == "voxels")
    assert (kind in VoxresnetSettings().inputs) == (kind == "voxels")
