"""Networks on grids: the paper's shapes and counts of parameters, and rotations that vote by the mean."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from shapecnn.errors import UsageError
from shapecnn.networks.discriminant import analyse
from shapecnn.networks.network import ShapeNetwork
from shapecnn.networks.volumetric import HeightProfile, Occupancy, Residual, shapenets, voxresnet


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


def grids(rotations: int, resolution: int, shapes: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    size = (shapes, rotations, *[resolution] * 3)
    return torch.randint(0, 2, size, dtype=torch.uint8, generator=generator)


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def small() -> ShapeNetwork:
    torch.manual_seed(0)
    return voxresnet(30, 4, width=4).eval()


def test_shapenets_has_the_shapes_of_the_paper() -> None:
    network, seen = shapenets(30, 10).eval(), grids(1, 30)
    shapes = [tuple(network.stem(seen, stop=stop).shape[2:]) for stop in range(5)]
    assert shapes == [(1, 30, 30, 30), (48, 13, 13, 13), (160, 5, 5, 5), (512, 2, 2, 2), (1200,)]
    logits, features = network(seen)
    assert (logits.shape, features.shape) == ((1, 10), (1, 1200))


def test_shapenets_has_the_parameters_of_the_paper() -> None:
    convolutions = (48 * 6**3 + 48) + (160 * 48 * 5**3 + 160) + (512 * 160 * 4**3 + 512)
    full, classifier = 512 * 2**3 * 1200 + 1200, 1200 * 10 + 10
    assert count(shapenets(30, 10, normalized=False)) == convolutions + full + classifier
    norms = 2 * (48 + 160 + 512)
    assert count(shapenets(30, 10)) == convolutions + norms + full + classifier
    layers = [layer for layer in shapenets(30, 10, normalized=False).modules() if isinstance(layer, nn.BatchNorm3d)]
    assert not layers


def test_shapenets_with_sigmoid_has_the_same_layers_and_weights_that_suit_it() -> None:
    torch.manual_seed(0)
    sigmoid, relu = shapenets(26, 2, activation="sigmoid").eval(), shapenets(26, 2).eval()
    assert count(sigmoid) == count(relu)
    for network, kind in ((sigmoid, nn.Sigmoid), (relu, nn.ReLU)):
        activations = [type(layer) for layer in network.modules() if isinstance(layer, nn.Sigmoid | nn.ReLU)]
        assert activations == [kind] * 4
    features = sigmoid(grids(1, 26))[1]
    assert ((features > 0) & (features < 1)).all()
    convolution = sigmoid.get_submodule("parts.conv2.0")
    assert isinstance(convolution, nn.Conv3d)
    assert float(convolution.weight.abs().max()) == pytest.approx(4 * (6 / (125 * (48 + 160))) ** 0.5, rel=1e-3)


@pytest.mark.parametrize("resolution", [26, 32])
def test_shapenets_takes_other_grids(resolution: int) -> None:
    assert shapenets(resolution, 2).eval()(grids(1, resolution))[0].shape == (1, 2)


@pytest.mark.parametrize("resolution", [1, 5, 22, 25])
def test_grids_too_small_for_shapenets_are_refused_with_the_least(resolution: int) -> None:
    with pytest.raises(UsageError, match=f"needs grids of at least 26³ cells, not {resolution}³"):
        shapenets(resolution, 2)


def test_voxresnet_halves_the_grid_where_it_doubles_the_channels() -> None:
    network, seen = voxresnet(30, 10, width=8).eval(), grids(1, 30)
    shapes = [tuple(network.stem(seen, stop=stop).shape[2:]) for stop in range(8)]
    assert shapes == [
        (1, 30, 30, 30),
        (8, 15, 15, 15),
        (8, 15, 15, 15),
        (16, 8, 8, 8),
        (16, 8, 8, 8),
        (32, 4, 4, 4),
        (32, 4, 4, 4),
        (32,),
    ]
    assert [tensor.shape for tensor in network(seen)] == [(1, 10), (1, 32)]


def test_voxresnet_has_the_parameters_of_its_layers() -> None:
    w = 4
    blocks = [(w, w, False), (w, 2 * w, True), (2 * w, 2 * w, False), (2 * w, 4 * w, True), (4 * w, 4 * w, False)]
    expected = w * 5**3 + 2 * 4 * w + 4 * w * 10 + 10  # first convolution, last normalization, classifier
    for inputs, outputs, shortcut in blocks:
        expected += 27 * outputs * (inputs + outputs) + 2 * (inputs + outputs) + shortcut * inputs * outputs
    assert count(voxresnet(30, 10, width=w)) == expected


@pytest.mark.parametrize("resolution", [1, 7, 31])
def test_voxresnet_takes_any_grid(resolution: int) -> None:
    assert small()(grids(2, resolution))[0].shape == (1, 4)


def test_a_profile_is_the_maximum_of_each_layer_of_cells_of_both_maps() -> None:
    maps = torch.arange(2 * 3 * 4 * 4 * 5, dtype=torch.float32).reshape(2, 3, 4, 4, 5)
    profile = HeightProfile(nn.MaxPool3d(2))
    first, second = profile(maps).split([3 * 5, 3 * 2], dim=1)
    assert first.reshape(2, 3, 5)[0, 1, 3] == maps[0, 1, :, :, 3].max()
    assert second.reshape(2, 3, 2)[1, 2, 1] == maps[1, 2, :, :, 2:4].max()
    assert torch.equal(profile(maps.rot90(1, (2, 3))), profile(maps))


@pytest.mark.parametrize("resolution", [26, 30, 33])
@pytest.mark.parametrize("kind", ["shapenets", "voxresnet"])
def test_a_shortened_network_is_known_again_by_its_tensors(kind: str, resolution: int) -> None:
    def build() -> ShapeNetwork:
        return (shapenets(resolution, 3) if kind == "shapenets" else voxresnet(resolution, 3, width=4)).eval()

    torch.manual_seed(0)
    network, seen = build(), grids(2, resolution, 6)
    with pytest.raises(AttributeError):
        network.get_submodule("parts.profile")
    before = count(network)
    network.shorten()
    features = network(seen)[1]
    assert features.shape == (6, sum(network.blocks))
    assert count(network) < before
    space, directions = analyse(features, torch.tensor([0, 0, 1, 1, 2, 2]), network.blocks, shrinkage=0.1)
    network.discriminate(space, directions)
    again = build()
    again.load(network.state_dict())
    for one, other in zip(network(seen), again(seen), strict=True):
        assert torch.equal(one, other)
    assert list(again.parts) == list(network.parts)


def test_a_network_with_all_its_parts_is_not_shortened() -> None:
    network, seen = small(), grids(1, 30, 8)
    space, directions = analyse(network(seen)[1], torch.tensor([0, 0, 1, 1, 2, 2, 3, 3]), network.blocks, shrinkage=0.1)
    network.discriminate(space, directions)
    again = small()
    again.load(network.state_dict())
    assert "last" in again.parts
    assert torch.equal(again(seen)[0], network(seen)[0])


def test_a_block_whose_second_convolution_is_zero_is_the_identity() -> None:
    block = Residual(3, 3, 1).eval()
    nn.init.zeros_(block.conv2.weight)
    x = torch.randn(2, 3, 4, 4, 4)
    assert torch.equal(block(x), x)
    assert Residual(3, 6, 2).eval()(x).shape == (2, 6, 2, 2, 2)


@pytest.mark.parametrize("network", [small(), shapenets(26, 4).eval()], ids=["voxresnet", "shapenets"])
def test_the_vote_of_rotations_is_the_mean_of_their_features(network: ShapeNetwork) -> None:
    seen = grids(4, 26, shapes=2)
    each = torch.stack([network(seen[:, i : i + 1])[1] for i in range(4)])
    logits, features = network(seen)
    torch.testing.assert_close(features, each.sum(0) / 4)
    assert network.classifier is not None
    torch.testing.assert_close(logits, network.classifier(each.mean(0)))
    torch.testing.assert_close(network(seen[:, [2, 0, 3, 1]])[1], features)
    assert not torch.allclose(each[0], features)


def test_cells_are_zero_and_one() -> None:
    seen = grids(1, 5)[0]
    encoded = Occupancy()(seen)
    assert encoded.shape == (1, 1, 5, 5, 5)
    assert torch.equal(encoded[:, 0], seen.float())
    assert Occupancy().bfloat16()(seen).dtype == torch.bfloat16
