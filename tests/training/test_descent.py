"""Gradient descent against torch's own, and against a network whose frozen parts are computed at every step."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from scipy.special import softmax
from torch import Tensor, nn

from shapecnn.errors import TrainingError
from shapecnn.networks.network import ShapeNetwork
from shapecnn.networks.registry import build_network
from shapecnn.settings.networks import LinearSettings, MlpSettings
from shapecnn.settings.stages import GradientStage
from shapecnn.training.activations import Activations
from shapecnn.training.augmentation import Change, apply_change
from shapecnn.training.descent import Descent, Epoch
from shapecnn.training.examples import Examples, draw_examples
from shapecnn.training.parts import first_part, outputs
from tests.training.data import EXTENTS, MVCNN, VOXRESNET, grid, pictures, stage

LABELS = torch.tensor([0, 1, 2] * 4)
PICTURES = np.stack([pictures(label, k)[:4] for k in range(4) for label in EXTENTS])[None]
GRIDS = np.stack([grid(label, k) for k in range(4) for label in EXTENTS]).view(np.uint8)[None]


def network(**values: Any) -> ShapeNetwork:
    return build_network(MVCNN.model_copy(update=values), 32, 3)


def examples(values: NDArray[Any] = PICTURES, rows: Sequence[int] = range(12), labels: Tensor = LABELS) -> Examples:
    return Examples(Activations(values, bfloat16=False), np.array(rows), labels)


def descended(
    trained: ShapeNetwork, accelerator: Accelerator, learned: Examples | None = None, **values: Any
) -> list[Epoch]:
    """All epochs of one stage."""
    settings = GradientStage.model_validate(stage(**values))
    descent = Descent(settings, trained, learned or examples(), accelerator, [0, 0])
    return [descent.train_epoch(number) for number in range(settings.epochs)]


def copied(network: ShapeNetwork) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def changed(before: dict[str, Tensor], network: ShapeNetwork) -> set[str]:
    """Names of what is no longer what it was, to the bit."""
    return {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}


# What learns and what does not


def test_all_parts_learn_unless_some_are_frozen(accelerator: Accelerator) -> None:
    trained = network()
    before = copied(trained)
    descended(trained, accelerator)
    assert {name.split(".")[1] for name in changed(before, trained) if name.startswith("parts")} == {*trained.parts}


@pytest.mark.parametrize("first", ["block2", "last"])
def test_nothing_of_frozen_parts_changes(first: str, accelerator: Accelerator) -> None:
    trained = network().eval()
    start = first_part(trained, first)
    with torch.inference_mode():
        entering = trained.stem(torch.from_numpy(PICTURES[0]), stop=start).numpy()[None]
    before = copied(trained)
    descended(trained, accelerator, examples(entering), train_from=first, weight_decay=0.5, optimizer="sgd")
    names = changed(before, trained)
    frozen = tuple(f"parts.{name}." for name in list(trained.parts)[:start])
    assert not any(name.startswith(frozen) for name in names)  # statistics of batches are among them
    assert any(name.startswith(f"parts.{first}.") and name.endswith("weight") for name in names)
    assert any(name.endswith("running_mean") for name in names)


def test_the_head_is_the_classifier_alone(accelerator: Accelerator) -> None:
    trained = network().eval()
    with torch.inference_mode():
        entering = trained.stem(torch.from_numpy(PICTURES[0])).numpy()[None]
    before = copied(trained)
    descended(trained, accelerator, examples(entering), train_from="head")
    assert changed(before, trained) == {"classifier.weight", "classifier.bias"}


def test_frozen_statistics_stay_while_weights_learn(accelerator: Accelerator) -> None:
    trained = network()
    before = copied(trained)
    descended(trained, accelerator, batch_norm="frozen")
    names = changed(before, trained)
    assert not any("running" in name or "num_batches" in name for name in names)
    assert {name for name, _ in trained.named_parameters()} == names


def test_what_was_frozen_learns_in_a_later_stage(accelerator: Accelerator) -> None:
    trained = network().eval()
    with torch.inference_mode():
        entering = trained.stem(torch.from_numpy(PICTURES[0])).numpy()[None]
    descended(trained, accelerator, examples(entering), train_from="head")
    before = copied(trained)
    descended(trained, accelerator)
    assert {name for name, _ in trained.named_parameters()} <= changed(before, trained)
    assert len(accelerator._optimizers) == 1  # those of earlier stages would unscale the gradients once more


@dataclass
class Computed:
    """Activations that pass the frozen parts at every step."""

    pictures: Activations
    network: ShapeNetwork
    stop: int
    axes: int = 2

    @property
    def views_per_shape(self) -> int:
        return self.pictures.views_per_shape

    def batch(
        self, rows: NDArray[np.int64], changes: list[Change] | None = None, views: NDArray[np.int64] | None = None
    ) -> Tensor:
        with torch.inference_mode():
            out = self.network.stem(self.pictures.batch(rows, changes, views), stop=self.stop)
        return out.clone()


@pytest.mark.parametrize("pooled", [True, False])
def test_cached_activations_train_as_computed_ones_do(pooled: bool, accelerator: Accelerator) -> None:
    kept, computing = network(dropout=0.4).eval(), network(dropout=0.4).eval()
    start = first_part(kept, "block3")
    with torch.inference_mode():
        copies = [PICTURES[0], PICTURES[0][..., ::-1].copy()]
        entering = np.stack([kept.stem(torch.from_numpy(copy), stop=start).numpy() for copy in copies])
    frozen = network(dropout=0.4).eval()  # beside the one that learns, in another thread
    slow: Any = Computed(examples().activations, frozen, start)
    values = {"train_from": "block3", "augment": {"flip": True}, "pooled": pooled, "optimizer": "sgd", "batch": 5}
    losses = [
        [epoch.loss for epoch in descended(kept, accelerator, examples(entering), **values)],
        [epoch.loss for epoch in descended(computing, accelerator, Examples(slow, np.arange(12), LABELS), **values)],
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    for name, tensor in kept.state_dict().items():
        torch.testing.assert_close(tensor, computing.state_dict()[name], rtol=1e-3, atol=1e-5)


# The optimizer, against torch's own on the whole set at once


OPTIMIZERS = {
    "sgd": lambda groups: torch.optim.SGD(groups, lr=0.1, momentum=0.8, weight_decay=0.03),
    "adam": lambda groups: torch.optim.Adam(groups, lr=0.1, weight_decay=0.03),
    "adamw": lambda groups: torch.optim.AdamW(groups, lr=0.1, weight_decay=0.03),
    "adagrad": lambda groups: torch.optim.Adagrad(groups, lr=0.1, weight_decay=0.03),
}


@pytest.mark.parametrize("name", [*OPTIMIZERS])
@pytest.mark.parametrize("clip", [None, 0.05])
def test_steps_are_those_of_torch(name: str, clip: float | None, accelerator: Accelerator) -> None:
    """Momentum, weight decay, label smoothing, clipping and the classifier's own rate."""
    rate = 0.01
    values = {"optimizer": name, "momentum": 0.8, "weight_decay": 0.03, "label_smoothing": 0.2, "clip": clip}
    values |= {"learning_rate": rate, "head_rate": 3.0, "schedule": "constant", "batch_norm": "frozen", "batch": 12}
    trained = network(dropout=0.0)
    epochs = descended(trained, accelerator, **values)

    expected = network(dropout=0.0).eval()
    body = [p for n, p in expected.named_parameters() if not n.startswith("classifier")]
    head = [p for n, p in expected.named_parameters() if n.startswith("classifier")]
    optimizer = OPTIMIZERS[name]([{"params": body, "lr": rate}, {"params": head, "lr": 3 * rate}])
    for epoch in epochs:
        logits, _ = expected(torch.from_numpy(PICTURES[0]))
        loss = nn.functional.cross_entropy(logits, LABELS, label_smoothing=0.2)
        assert epoch.loss == pytest.approx(loss.item(), rel=1e-4)
        assert epoch.learning_rate == rate
        optimizer.zero_grad()
        loss.backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(expected.parameters(), clip)
        optimizer.step()
    if name == "sgd":  # Adam's first steps go by the signs of gradients, also of those that are nothing but rounding
        for key, tensor in trained.state_dict().items():
            torch.testing.assert_close(tensor, expected.state_dict()[key], rtol=1e-3, atol=1e-5)
    moved = trained.state_dict()["classifier.weight"]
    torch.testing.assert_close(moved, expected.state_dict()["classifier.weight"], rtol=0.02, atol=1e-3)


def linear(classes: int = 3) -> ShapeNetwork:
    """Logistic regression on the pixels of a view, whose gradient is known."""
    return build_network(LinearSettings(), 32, classes, kind="views")


def softmax_regression(decay: float) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Function that returns the gradient of the mean cross-entropy plus λ Σ w², in float64; the decay is 2 λ."""
    pixels = 1 - PICTURES[0].reshape(12, 4, -1).astype(np.float64) / 255
    features = np.c_[pixels.mean(axis=1), np.ones(12)]
    truth = np.eye(3)[LABELS.numpy()]

    def gradient(weights: NDArray[Any]) -> NDArray[Any]:
        return (softmax(features @ weights.T, axis=1) - truth).T @ features / 12 + decay * weights

    return gradient


def weights_of(trained: ShapeNetwork) -> NDArray[Any]:
    """(C, D + 1) float64: weights and, as the last column, biases of the classifier."""
    assert trained.classifier is not None
    layer = trained.classifier
    return np.c_[layer.weight.detach().numpy(), layer.bias.detach().numpy()].astype(np.float64)


def test_adagrad_divides_by_the_root_of_all_squares(accelerator: Accelerator) -> None:
    """Duchi et al. 2011: w ← w − η g / √(Σ g²)."""
    trained = linear()
    weights, squares, gradient = weights_of(trained), 0.0, softmax_regression(0.02)
    before = weights.copy()
    values = {"optimizer": "adagrad", "learning_rate": 0.05, "weight_decay": 0.02, "schedule": "constant"}
    descended(trained, accelerator, epochs=4, batch=12, **values)
    for _ in range(4):
        step = gradient(weights)
        squares = squares + step**2
        weights = weights - 0.05 * step / (np.sqrt(squares) + 1e-10)
    np.testing.assert_allclose(weights_of(trained), weights, atol=1e-4)
    assert np.abs(weights - before).max() > 0.05


def test_adadelta_measures_its_steps_by_earlier_steps(accelerator: Accelerator) -> None:
    """Zeiler 2012: Δ = −√(E[Δ²] + ε) / √(E[g²] + ε) g, with ρ = 0.9."""
    trained = linear()
    weights, squares, steps, gradient = weights_of(trained), 0.0, 0.0, softmax_regression(0.02)
    before = weights.copy()
    values = {"optimizer": "adadelta", "learning_rate": 2.0, "weight_decay": 0.02, "schedule": "constant"}
    descended(trained, accelerator, epochs=6, batch=12, **values)
    for _ in range(6):
        slope = gradient(weights)
        squares = 0.9 * squares + 0.1 * slope**2
        step = np.sqrt(np.add(steps, 1e-6)) / np.sqrt(squares + 1e-6) * slope
        steps = 0.9 * steps + 0.1 * step**2
        weights = weights - 2.0 * step
    np.testing.assert_allclose(weights_of(trained), weights, atol=1e-4)
    assert np.abs(weights - before).max() > 0.02


@pytest.mark.parametrize("optimizer", ["adagrad", "adadelta"])
def test_the_squares_of_earlier_epochs_are_restored(optimizer: str, accelerator: Accelerator) -> None:
    settings = GradientStage.model_validate(stage(epochs=3, optimizer=optimizer, learning_rate=0.05))
    whole = linear()
    descent = Descent(settings, whole, examples(), accelerator, [0, 0])
    for number in range(3):
        descent.train_epoch(number)
    parted = linear()
    descent = Descent(settings, parted, examples(), accelerator, [0, 0])
    for number in range(2):
        kept = copy.deepcopy(descent.train_epoch(number).optimizer)
    descent = Descent(settings, parted, examples(), accelerator, [0, 0])
    descent.load_optimizer(kept)
    descent.train_epoch(2)
    assert np.array_equal(weights_of(parted), weights_of(whole))


def test_sigmoid_outputs_learn_for_themselves(accelerator: Accelerator) -> None:
    """A class whose shapes are called another class changes nothing in a third output."""
    trained = [linear(), linear()]
    relabelled = torch.where(LABELS == 1, 0, LABELS)
    for each, labels in zip(trained, [LABELS, relabelled], strict=True):
        values = {"loss": "sigmoid", "optimizer": "sgd", "learning_rate": 0.1, "batch": 12}
        (epoch, *_) = descended(each, accelerator, examples(labels=labels), **values)
        assert epoch.loss == pytest.approx(3 * np.log(2), rel=0.05)  # of outputs near 1/2
    same = [np.array_equal(*pair) for pair in zip(*map(weights_of, trained), strict=True)]
    assert same == [False, False, True]


def test_two_sigmoid_outputs_learn_as_softmax_does(accelerator: Accelerator) -> None:
    trained = [linear(2), linear(2)]
    for each, loss in zip(trained, ["sigmoid", "softmax"], strict=True):
        values = {"loss": loss, "optimizer": "sgd", "learning_rate": 0.1}
        descended(each, accelerator, examples(labels=(LABELS > 0).long()), **values)
    np.testing.assert_allclose(*map(weights_of, trained), rtol=1e-4, atol=1e-6)


def test_the_rate_is_halved_when_losses_stall(accelerator: Accelerator) -> None:
    settings = GradientStage.model_validate(stage(epochs=6, schedule="stall", patience=2))
    descent = Descent(settings, linear(), examples(), accelerator, [0, 0])
    told = [0.7, 0.6999, 0.8, 0.5, 0.5, 0.5]
    rates = [descent.train_epoch(number, [], told[:number]).learning_rate for number in range(6)]
    assert rates == pytest.approx([1e-3, 1e-3, 1e-3, 5e-4, 5e-4, 5e-4])


def test_an_epoch_describes_its_layers_and_is_not_changed_by_that(
    accelerator: Accelerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlp = MlpSettings(hidden=(8, 8), dropout=0.3)
    trained, unwatched = (build_network(mlp, 32, 3, kind="views") for _ in range(2))
    (first, last) = descended(trained, accelerator, optimizer="sgd", weight_decay=0.0)
    assert [layer.layer for layer in last.layers] == ["parts.hidden1.0", "parts.hidden2.0", "classifier"]
    assert first.layers[0].weights == pytest.approx(unwatched.parts["hidden1"][0].weight.norm().item(), rel=0.01)
    assert all(layer.gradient for layer in [*first.layers, *last.layers])
    assert [layer.dead is None for layer in last.layers] == [False, False, True]
    monkeypatch.setattr("shapecnn.training.descent.sampled_steps", lambda _: frozenset())
    epochs = descended(unwatched, accelerator, optimizer="sgd", weight_decay=0.0)
    assert [epoch.loss for epoch in epochs] == [first.loss, last.loss]
    assert epochs[0].layers == []
    assert not changed(copied(trained), unwatched)


def test_clipping_does_not_hide_the_size_of_gradients(accelerator: Accelerator) -> None:
    gradients = [
        [layer.gradient for layer in descended(linear(), accelerator, epochs=1, batch=12, clip=clip)[0].layers]
        for clip in (None, 1e-6)
    ]
    assert gradients[0] == gradients[1]


def test_the_rate_drops_when_accuracies_stall(accelerator: Accelerator) -> None:
    accuracies: list[float] = []
    settings = GradientStage.model_validate(stage(epochs=6, schedule="plateau", patience=2, factor=0.1))
    rates = []
    descent = Descent(settings, network(), examples(), accelerator, [0, 0])
    for number in range(6):
        rates.append(descent.train_epoch(number, accuracies).learning_rate)
        accuracies.append(0.5)
    assert rates == pytest.approx([1e-3, 1e-3, 1e-3, 1e-4, 1e-4, 1e-5])


# What an epoch shows


class Seen:
    """Keeps every batch that enters a network while it trains."""

    def __init__(self, network: ShapeNetwork) -> None:
        self.batches: list[NDArray[Any]] = []
        network.register_forward_pre_hook(lambda _, entering: self.batches.append(entering[0].numpy().copy()))

    def views(self) -> list[bytes]:
        return [view.tobytes() for batch in self.batches for shape in batch for view in shape]


def test_a_pooled_epoch_shows_every_shape_once(accelerator: Accelerator) -> None:
    trained = network()
    seen = Seen(trained)
    descended(trained, accelerator, examples(rows=range(2, 12)), epochs=1, batch=4)
    assert [len(batch) for batch in seen.batches] == [4, 4, 2]
    shown = sorted(shape.tobytes() for batch in seen.batches for shape in batch)
    assert shown == sorted(PICTURES[0, row].tobytes() for row in range(2, 12))


def test_an_epoch_of_single_views_shows_every_view_once(accelerator: Accelerator) -> None:
    trained = network()
    seen = Seen(trained)
    descended(trained, accelerator, examples(rows=range(5)), epochs=2, batch=8, pooled=False)
    assert {batch.shape[1] for batch in seen.batches} == {1}
    views = sorted(PICTURES[0, row, view].tobytes() for row in range(5) for view in range(4))
    shown = seen.views()
    assert sorted(shown[:20]) == sorted(shown[20:]) == views
    assert shown[:20] != shown[20:]  # in another order
    assert shown[:20] != views


def test_the_order_is_drawn_for_each_epoch_by_itself(accelerator: Accelerator) -> None:
    """So that an interrupted training goes on as if nothing had been."""
    settings = GradientStage.model_validate(stage(epochs=3, augment={"flip": True, "shift": 2}))

    def shown(first: int, seed: int = 0) -> list[bytes]:
        trained = network()
        seen = Seen(trained)
        descent = Descent(settings, trained, examples(), accelerator, [seed, 0])
        for number in range(first, 3):
            descent.train_epoch(number)
        return seen.views()

    whole = shown(0)
    assert shown(0) == whole
    assert shown(2) == whole[2 * 48 :]
    assert whole[48:96] != whole[96:]
    assert shown(0, seed=1) != whole


@pytest.mark.parametrize("pooled", [True, False])
def test_a_shape_changes_once_in_an_epoch_and_all_its_views_alike(pooled: bool, accelerator: Accelerator) -> None:
    trained = network()
    seen = Seen(trained)
    augment = {"flip": True, "shift": 1}
    descended(trained, accelerator, epochs=1, augment=augment, pooled=pooled)
    shown = Counter(seen.views())
    drawn = []
    for shape in PICTURES[0]:
        possible = [Change(flip, 0, (y, x)) for flip in (False, True) for y in (-1, 0, 1) for x in (-1, 0, 1)]
        fitting = [c for c in possible if not Counter(v.tobytes() for v in apply_change(shape, c)) - shown]
        assert fitting
        drawn.append(fitting[0])
    assert len({*drawn}) > 3


@pytest.mark.parametrize("pooled", [True, False])
def test_balancing_repeats_small_classes(pooled: bool, accelerator: Accelerator) -> None:
    rows = [0, 3, 6, 9, 1, 4, 2]  # four bars, two blocks, a slab
    trained = network()
    seen = Seen(trained)
    descended(trained, accelerator, examples(rows=rows), epochs=1, balance=True, pooled=pooled, batch=12)
    shown = Counter(seen.views())
    for row, times in [(0, 1), (3, 1), (6, 1), (9, 1), (1, 2), (4, 2), (2, 4)]:
        assert all(shown[view.tobytes()] == times for view in PICTURES[0, row])
    assert sum(shown.values()) == 48


def test_what_balancing_repeats_is_drawn_anew_and_changed_in_its_own_way(accelerator: Accelerator) -> None:
    rows = [0, 3, 6, 9, 1, 4, 7]  # four bars, three blocks: of these one is there twice
    settings = GradientStage.model_validate(stage(balance=True, pooled=True))
    chosen = [draw_examples(settings, examples(rows=rows), np.random.default_rng(seed)) for seed in range(20)]
    again = []
    for each in chosen:
        counted = Counter(each[:, 0].tolist())
        assert len(each) == 8
        (twice,) = [row for row, times in counted.items() if times == 2]
        again.append(twice)
        assert sorted(each[each[:, 0] == twice, 2].tolist()) == [0, 1]  # another repetition, so another change
    assert set(again) == {1, 4, 7}


@pytest.mark.parametrize(("count", "sizes"), [(8, [4, 4]), (9, [4, 5]), (10, [4, 4, 2]), (5, [5]), (3, [3])])
def test_no_batch_holds_one_example(count: int, sizes: list[int], accelerator: Accelerator) -> None:
    trained = network()
    seen = Seen(trained)
    told: list[tuple[int, int]] = []
    settings = GradientStage.model_validate(stage(batch=4))
    descent = Descent(settings, trained, examples(rows=range(count)), accelerator, [0])
    for number in range(2):
        descent.train_epoch(number, progress=lambda *a: told.append(a))
    assert [len(batch) for batch in seen.batches] == sizes * 2
    assert told == [(step + 1, 2 * len(sizes)) for step in range(2 * len(sizes))]


def test_batches_wait_in_a_short_line(accelerator: Accelerator, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many shapes there are."""
    put_together = 0
    batch = Activations.batch

    def counted(self: Activations, *arguments: Any) -> Tensor:
        nonlocal put_together
        put_together += 1
        return batch(self, *arguments)

    monkeypatch.setattr(Activations, "batch", counted)
    trained = network()
    ahead = []
    trained.register_forward_pre_hook(lambda *_: ahead.append(put_together - len(ahead)))
    many = examples(np.tile(PICTURES[:, :, :1], (1, 20, 1, 1, 1)), range(240), LABELS.repeat(20))
    descended(trained, accelerator, many, epochs=1, batch=4)
    assert len(ahead) == 60
    assert max(ahead) <= 4


# Going astray


def test_a_loss_that_is_no_number_is_told_with_a_remedy(accelerator: Accelerator) -> None:
    with pytest.raises(TrainingError) as caught:
        descended(network(), accelerator, name="pooled", learning_rate=1e30, optimizer="sgd", epochs=5)
    message = str(caught.value)
    assert message.startswith("The loss became nan in epoch 1 of stage pooled. Start a new training in another --out ")
    assert "--set stages.pooled.learning_rate=1e+29 or" in message
    assert message.endswith("--set stages.pooled.clip=1.")


def test_weights_that_are_no_numbers_are_told_even_after_the_last_step(accelerator: Accelerator) -> None:
    steep = network()
    assert steep.classifier is not None
    nn.init.normal_(steep.classifier.weight, std=100)
    with pytest.raises(TrainingError, match="Weights became infinite or NaN in epoch 1 of stage all"):
        descended(steep, accelerator, learning_rate=3e38, optimizer="sgd", epochs=1, batch=12)


# Outputs


def test_outputs_are_those_of_the_network(accelerator: Accelerator) -> None:
    known = network(dropout=0.5).train()
    many = Activations(np.tile(PICTURES, (1, 4, 1, 1, 1)), bfloat16=False)
    rows = np.array([40, *range(39), 3])
    logits, features = outputs(known, many, rows, accelerator, 0)
    with torch.inference_mode():
        expected = known.eval()(torch.from_numpy(many.values[0, rows]))
    torch.testing.assert_close(logits, expected[0])
    torch.testing.assert_close(features, expected[1])


@pytest.mark.parametrize("turns", [1, 2, 4])
def test_quarter_turns_vote(turns: int, accelerator: Accelerator) -> None:
    known = build_network(VOXRESNET, 22, 3).eval()
    logits, features = outputs(known, Activations(GRIDS, bfloat16=False), np.arange(12), accelerator, 0, turns)
    turned = np.concatenate([np.rot90(GRIDS[0], k * 4 // turns, axes=(2, 3)) for k in range(turns)], axis=1)
    with torch.inference_mode():
        expected = known(torch.from_numpy(turned.copy()))
    torch.testing.assert_close(features, expected[1])
    torch.testing.assert_close(logits, expected[0])
