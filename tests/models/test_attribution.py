"""Attribution of logits to views, pixels and cells, against loops and against what networks were built to see."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from shapecnn.models.attribution import Attribution, Inquiry
from shapecnn.networks.adapter import RingAdapter
from shapecnn.networks.discriminant import Discriminant
from shapecnn.networks.network import Part, Pooling, ShapeNetwork

SIDE, FEATURES, CLASSES = 16, 6, 4


class Maps(nn.Module):
    """(N, ...) uint8 → (N, 1, ...) float in [0, 1]."""

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs[:, None].float() / 255


class Largest(nn.Module):
    def forward(self, maps: Tensor) -> Tensor:
        return maps.amax(dim=(2, 3))


def network(
    parts: Sequence[Part], pooling: Pooling | nn.Module = "max", tail: nn.Module | None = None, features: int = FEATURES
) -> ShapeNetwork:
    made = ShapeNetwork(
        Maps(), parts, tail or nn.Identity(), blocks=(features,), classes=CLASSES, pooling=pooling
    ).eval()
    assert made.classifier is not None
    nn.init.normal_(made.classifier.weight)
    nn.init.normal_(made.classifier.bias)
    return made.requires_grad_(False)


def linear(cells: int = SIDE**2) -> Part:
    return "linear", nn.Sequential(nn.Flatten(), nn.Linear(cells, FEATURES))


def views(count: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, SIDE, SIDE), dtype=torch.uint8, generator=generator)


def direction(label: int = 1) -> Tensor:
    return torch.eye(CLASSES)[label] - 1 / CLASSES


WHITE = torch.full((1, SIDE, SIDE), 255, dtype=torch.uint8)


def explained(made: ShapeNetwork, seen: Tensor, along: Tensor | None = None, blank: int = 255) -> Attribution:
    return Inquiry(made, seen, blank).attribution(direction() if along is None else along)


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def test_pixels_of_a_linear_network_are_weight_times_difference_from_the_background() -> None:
    made, seen = network([linear()], "mean"), views(3)
    heat = explained(made, seen).heat
    weights = direction() @ made.classifier.weight @ made.parts["linear"][1].weight  # type: ignore
    by_hand = (seen.float() - 255) * weights.view(SIDE, SIDE)
    np.testing.assert_allclose(heat, by_hand / by_hand.abs().max(), atol=1e-5)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("pooling", ["max", "mean"])
def test_contributions_are_the_loop_over_features_and_complete(pooling: Pooling, seed: int) -> None:
    made, seen = network([linear()], pooling), views(12, seed)
    found = explained(made, seen)
    features = made.stem(seen[None])[0]
    nothing = made.stem(WHITE[None])[0, 0]
    weights = direction() @ made.classifier.weight  # type: ignore
    by_hand = np.zeros(12)
    for feature in range(FEATURES):
        column = [float(value) for value in features[:, feature]]
        for view in range(12):
            if pooling == "mean":
                by_hand[view] += float(weights[feature] * (column[view] - nothing[feature])) / 12
            elif column[view] == max(column):
                by_hand[view] += float(weights[feature] * (column[view] - nothing[feature]))
    np.testing.assert_allclose(found.contributions, by_hand, atol=1e-5)
    logits = made(seen[None])[0][0]
    assert found.contributions.sum() + found.rest == pytest.approx(found.logit, abs=1e-5)
    assert found.logit == pytest.approx(float(logits[1] - logits.mean()), abs=1e-5)
    assert found.rest == pytest.approx(float(direction() @ made(WHITE[None])[0][0]), abs=1e-5)


def test_a_network_that_looks_at_one_view_only_owes_it_all() -> None:
    """Dark pixels make features, and only one view has any."""
    dark = nn.Linear(SIDE**2, FEATURES)
    nn.init.constant_(dark.weight, -1.0)
    nn.init.constant_(dark.bias, SIDE**2)
    made = network([("dark", nn.Sequential(nn.Flatten(), dark, nn.ReLU()))])
    made.classifier.weight[1] = 1.0  # type: ignore
    made.classifier.weight[[0, 2, 3]] = 0.0  # type: ignore
    seen = WHITE.repeat(12, 1, 1)
    seen[7, 4:8, 4:8] = 0
    found = explained(made, seen)
    np.testing.assert_allclose(found.shares, np.eye(12)[7], atol=1e-6)
    assert not found.heat[np.arange(12) != 7].any()
    np.testing.assert_allclose(found.heat[7], np.where(seen[7] == 0, 1, 0), atol=1e-5)


def test_views_that_tie_share_alike() -> None:
    found = explained(network([linear()]), views(1).repeat(8, 1, 1))
    np.testing.assert_allclose(found.contributions, found.contributions[0], rtol=1e-4)


@pytest.mark.parametrize("pooling", ["max", "mean"])
def test_gradients_reach_all_12_views(pooling: Pooling) -> None:
    """Every view holds the largest value of some feature."""
    maps = nn.Conv2d(1, 200, 3)
    made = network([("maps", nn.Sequential(maps, nn.ReLU())), ("last", Largest())], pooling, features=200)
    found = explained(made, views(12))
    assert (np.abs(found.heat).reshape(12, -1).max(axis=1) > 0).all()
    assert (found.contributions != 0).all()


def test_what_comes_after_early_pooling_is_complete_too() -> None:
    tail = nn.Sequential(nn.Linear(FEATURES, 9), nn.Tanh(), nn.Linear(9, FEATURES))
    found = explained(network([linear()], tail=tail), views(12))
    assert found.contributions.sum() + found.rest == pytest.approx(found.logit, abs=1e-3)


def test_what_an_adapter_finds_in_neighbouring_views_is_complete_too() -> None:
    adapter = RingAdapter(FEATURES, 64)
    nn.init.normal_(adapter.up.weight)
    made, seen = network([linear()], adapter), views(12)
    found = explained(made, seen)
    by_mean = explained(network([("linear", made.parts["linear"])], "mean"), seen)
    assert abs(found.contributions - by_mean.contributions).max() > 0.1
    largest = float(abs(found.contributions).max())
    assert found.contributions.sum() + found.rest == pytest.approx(found.logit, abs=0.01 * largest)


def test_of_a_space_in_which_directions_are_compared_it_is_complete_too() -> None:
    """Its features are rooted and divided by their length: there is no way to them from zero."""
    made = network([("linear", nn.Sequential(*linear()[1], nn.ReLU()))])
    means = nn.functional.normalize(torch.randn(CLASSES, 3))
    centre, within = torch.randn(FEATURES) / 9, torch.zeros(0, FEATURES)
    space = Discriminant(torch.randn(3, FEATURES), within, centre, torch.tensor(0.5), means, [FEATURES])
    made.discriminate(space, 10 * nn.functional.pad(means, (0, CLASSES)))
    found = explained(made, views(12))
    assert abs(found.contributions).max() > 0.1
    assert found.contributions.sum() + found.rest == pytest.approx(found.logit, abs=0.05)


def test_a_constant_added_to_all_logits_changes_nothing() -> None:
    made, seen = network([linear()]), views(12)
    before = explained(made, seen)
    made.classifier.weight += torch.randn(FEATURES)  # type: ignore
    made.classifier.bias += 3  # type: ignore
    after = explained(made, seen)
    np.testing.assert_allclose(after.contributions, before.contributions, atol=1e-5)
    np.testing.assert_allclose(after.heat, before.heat, atol=1e-5)


def test_one_class_rather_than_another_is_the_reverse_of_the_other_way_round() -> None:
    made, seen = network([linear()]), views(12)
    one_hot = torch.eye(CLASSES)
    there, back = (explained(made, seen, one_hot[a] - one_hot[b]) for a, b in ((0, 2), (2, 0)))
    np.testing.assert_allclose(there.heat, -back.heat, atol=1e-6)
    assert there.logit == -back.logit


def test_heat_is_taken_where_maps_are_last_fine_and_lies_where_the_reason_is() -> None:
    """Maps of 64, 32, 16 and 8 cells a side: heat has 16, and the corner that the network reads is hot."""
    reads = nn.Linear(64, FEATURES)
    nn.init.zeros_(reads.weight)
    reads.weight.data[:, 7] = -1  # the upper right corner of 8 × 8
    halves = [("by2", nn.AvgPool2d(2)), ("by4", nn.AvgPool2d(2)), ("by8", nn.AvgPool2d(2))]
    made = network([*halves, ("reads", nn.Sequential(nn.Flatten(), reads))], "mean")
    made.classifier.weight[1] = 10.0  # type: ignore
    seen = torch.zeros((12, 64, 64), dtype=torch.uint8)
    heat = explained(made, seen).heat
    assert (heat[:, :8, -8:] > 0.35).all()
    assert (heat[:, 9, -4:] > 0.1).all()  # spread between places that are 4 pixels apart
    assert np.abs(heat[:, 10:]).max() == 0
    assert np.abs(heat[:, :, :54]).max() == 0


def test_of_a_grid_only_filled_cells_are_hot() -> None:
    reads = nn.Linear(SIDE**3, FEATURES)
    nn.init.zeros_(reads.weight)
    chosen = np.ravel_multi_index((3, 5, 9), (SIDE,) * 3)
    reads.weight.data[:, chosen] = 1
    made = network([("reads", nn.Sequential(nn.Flatten(), reads))], "mean")
    made.classifier.weight[1] = 10.0  # type: ignore
    grid = torch.zeros((2, SIDE, SIDE, SIDE), dtype=torch.uint8)
    grid[:, 2:6, 4:7, 8:12] = 1
    heat = explained(made, grid, blank=0).heat
    assert np.argwhere(heat > 1e-6).tolist() == [[0, 3, 5, 9], [1, 3, 5, 9]]
    blurred = network([("blur", nn.Conv3d(1, 1, 5, padding=2)), linear(SIDE**3)], "mean")
    heat = explained(blurred, grid, blank=0).heat
    assert np.array_equal(heat != 0, grid.numpy() > 0)


def test_shares_are_of_what_speaks_for_the_class() -> None:
    some = Attribution(np.array([3, -5, 1], np.float32), 0.0, 0.0, np.zeros((3, 2, 2), np.float32))
    none = Attribution(np.array([-3, 0, -1], np.float32), 0.0, 0.0, np.zeros((3, 2, 2), np.float32))
    assert some.shares.tolist() == [0.75, 0, 0.25]
    assert none.shares.tolist() == [0, 0, 0]
