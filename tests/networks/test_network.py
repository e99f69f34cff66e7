"""The form all networks share: looks through parts, pooled, to logits and a feature, against a loop in plain Python."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from shapecnn.networks.network import FeaturesAlone, Pooling, ShapeNetwork

SIDE, FEATURES, CLASSES = 4, 5, 3


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


class Flat(nn.Module):
    """(N, SIDE, SIDE) uint8 → (N, SIDE²) float."""

    def forward(self, looks: Tensor) -> Tensor:
        return looks.flatten(1).float() / 255


def network(pooling: Pooling = "max", classes: int = CLASSES, dropout: float = 0.0) -> ShapeNetwork:
    """Random weights that tell every pixel from the others, and a tail that does not commute with pooling."""
    torch.manual_seed(0)
    parts = [
        ("first", nn.Sequential(nn.Linear(SIDE * SIDE, 7), nn.Tanh())),
        ("middle", nn.Linear(7, 6)),
        ("last", nn.Tanh()),
    ]
    tail = nn.Sequential(nn.Linear(6, FEATURES), nn.ReLU())
    made = ShapeNetwork(
        Flat(), parts, tail, blocks=(FEATURES,), classes=classes, pooling=pooling, dropout=dropout
    ).eval()
    if isinstance(made.classifier, nn.Linear):
        nn.init.normal_(made.classifier.weight)  # so that no logit is near zero
    return made


def looks(count: int, shapes: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (shapes, count, SIDE, SIDE), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("pooling", ["max", "mean"])
@pytest.mark.parametrize("count", [1, 2, 7, 80])
def test_pooling_is_the_loop_over_looks(pooling: Pooling, count: int) -> None:
    made, seen = network(pooling), looks(count)
    activations = made.stem(seen)
    assert activations.shape == (2, count, 6)
    pooled = torch.empty(2, 6)
    for shape in range(2):
        for channel in range(6):
            column = [float(activations[shape, look, channel]) for look in range(count)]
            pooled[shape, channel] = max(column) if pooling == "max" else math.fsum(column) / count
    logits, features = made(seen)
    torch.testing.assert_close(features, made.tail(pooled))
    assert made.classifier is not None
    torch.testing.assert_close(logits, made.classifier(features))
    assert (logits.shape, features.shape) == ((2, CLASSES), (2, FEATURES))


@pytest.mark.parametrize("pooling", ["max", "mean"])
def test_pooling_reaches_every_place_of_a_map_by_itself(pooling: Pooling) -> None:
    maps = torch.rand(2, 5, 3, 4, 4)
    stacked = torch.stack([maps[:, i] for i in range(5)])
    expected = stacked.max(0).values if pooling == "max" else stacked.sum(0) / 5
    torch.testing.assert_close(network(pooling).pool(maps), expected)


@given(st.permutations(range(6)), st.sampled_from(["max", "mean"]))
def test_the_order_of_looks_does_not_matter(order: list[int], pooling: Pooling) -> None:
    made, seen = network(pooling), looks(6)
    for one, other in zip(made(seen[:, order]), made(seen), strict=True):
        torch.testing.assert_close(one, other)
    assert not torch.allclose(made(seen.flip(0))[1], made(seen)[1])  # that of shapes does


@pytest.mark.parametrize("pooling", ["max", "mean"])
def test_a_look_repeated_is_the_look(pooling: Pooling) -> None:
    made, seen = network(pooling), looks(1)
    for one, other in zip(made(seen.expand(-1, 80, -1, -1)), made(seen), strict=True):
        torch.testing.assert_close(one, other)


def test_each_look_goes_through_the_parts_by_itself() -> None:
    made, seen = network(), looks(4)
    together = made.stem(seen)
    for shape in range(2):
        for look in range(4):
            alone = made.stem(seen[shape : shape + 1, look : look + 1])
            torch.testing.assert_close(together[shape : shape + 1, look : look + 1], alone)


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_stem_cut_anywhere_is_the_stem(cut: int) -> None:
    made, seen = network(), looks(3)
    before = made.stem(seen, stop=cut)
    assert torch.equal(made.stem(before, cut), made.stem(seen))
    assert all(map(torch.equal, made(before, start=cut), made(seen)))
    middle = made.stem(made.stem(seen, 0, 1), 1, cut)
    assert torch.equal(middle, before)


def test_a_stem_that_stops_at_once_is_the_encoding() -> None:
    seen = looks(3)
    assert torch.equal(network().stem(seen, 0, 0), seen.flatten(2).float() / 255)


def test_without_classes_there_are_features_and_no_logits() -> None:
    logits, features = network(classes=0)(looks(3))
    assert (logits.shape, features.shape) == ((2, 0), (2, FEATURES))
    assert torch.equal(features, network()(looks(3))[1])
    assert not [key for key in network(classes=0).state_dict() if key.startswith("classifier")]


def test_dropout_stands_before_the_classifier_and_spares_the_feature() -> None:
    made, seen = network(dropout=0.5).train(), looks(3)
    torch.manual_seed(2)
    first, second = made(seen), made(seen)
    assert torch.equal(first[1], second[1])
    assert not torch.equal(first[0], second[0])
    made.eval()
    assert torch.equal(made(seen)[0], made(seen)[0])


@pytest.mark.parametrize("classes", [0, CLASSES])
def test_what_is_exported_is_the_feature(classes: int) -> None:
    made, seen = network(classes=classes), looks(3)
    assert torch.equal(FeaturesAlone(made)(seen), made(seen)[1])


def test_the_classifier_computes_in_float32_whatever_the_rest_does() -> None:
    made, seen = network(), looks(3)
    assert made.classifier is not None
    with torch.autocast("cpu", torch.bfloat16):
        logits, features = made(seen)
    assert (logits.dtype, features.dtype) == (torch.float32, torch.bfloat16)
    assert torch.equal(logits, made.classifier(features.float()))


def test_an_untrained_classifier_is_nearly_undecided() -> None:
    untrained = ShapeNetwork(Flat(), [], nn.Identity(), blocks=(SIDE * SIDE,), classes=CLASSES)
    probabilities = untrained(looks(3))[0].softmax(dim=1)
    torch.testing.assert_close(probabilities, torch.full((2, CLASSES), 1 / CLASSES), atol=0.05, rtol=0)
    assert untrained.classifier is not None
    assert not untrained.classifier.bias.any()
