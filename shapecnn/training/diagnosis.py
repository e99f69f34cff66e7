"""Diagnosis of a training by gradient descent: say in words what looks wrong, and what to try.

The limits below are far from the numbers of trainings without problems: in all networks of shapecnn, on views and on
grids, the gradient of a hidden layer was between 0.0005 and 0.5 times as large as its weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import get_args

from shapecnn.settings.networks import NetworkSettings
from shapecnn.settings.stages import GradientStage
from shapecnn.training.layer_statistics import LayerStatistics
from shapecnn.training.records import Record

_VANISHING = 1e-3  # relative gradient of the first hidden layer, compared with that of the last one
_EXPLODING = 10.0  # relative gradient of a hidden layer
_DEAD = 0.9  # fraction of the ReLU units of a layer; most features of some classes are 0 for all other classes
_SATURATED = 0.75  # fraction of the sigmoid or tanh units of a layer
_RISE = 1.5  # training loss, compared with that of the first epoch
_GUESSING = 0.98  # training loss, compared with that of guessing
_FLAT_EPOCHS, _SWING_EPOCHS = 5, 6  # number of epochs with a loss that does not fall, or that oscillates
_SWING = 0.1  # change of the loss from one epoch to the next, compared with the loss
_ADAPTER = "pooling."  # start of the names of the layers of an adapter

Suggest = Callable[..., str]
"""Function that turns names of :func:`_options` into a sentence."""


def advice(
    layers: Sequence[LayerStatistics],
    losses: Sequence[float],
    stage: GradientStage,
    network: NetworkSettings,
    guessing: float,
) -> dict[str, str]:
    """Diagnose a training after an epoch from the statistics of its layers and from its losses.

    The last layer is the classifier. Its gradient is not compared with other layers, because a new classifier starts
    with small weights and learns fast.

    Args:
        layers: Statistics of the layers that are trained, in the latest epoch, in the order of the network.
        losses: Training loss of each finished epoch of the stage.
        stage: Settings of the training stage.
        network: Settings of the network; only options that it has are suggested.
        guessing: Training loss of a classifier that ignores its input, from
            :func:`shapecnn.training.losses.guessing_loss`.

    Returns:
        Sentences by the name of the problem: ``vanishing``, ``exploding``, ``dead``, ``saturated``, ``rising``,
        ``oscillating`` or ``flat``. Empty if nothing looks wrong.

    Example:
        >>> from shapecnn.settings.networks import MlpSettings
        >>> layer = LayerStatistics("parts.hidden1.0", 0.2, 4.0, saturated=None, dead=0.97)
        >>> stage = GradientStage(name="all", epochs=9, learning_rate=0.1, clip=1.0)
        >>> print(advice([layer], [0.7], stage, MlpSettings(), guessing=0.7)["dead"])
        Dead units: 97% of the ReLU units of layer 1 (parts.hidden1.0) are 0 for all sampled shapes and learn \
nothing. Try --set stages.all.learning_rate=0.01 or --set network.activation=tanh.
    """
    options = _options(stage, network)

    def suggest(*names: str) -> str:
        known = [options[name] for name in names if name in options] or ["fewer layers"]
        return f"Try {', '.join(known[:-1])}{' or ' if known[1:] else ''}{known[-1]}."

    problems = _layer_problems(layers, suggest)
    of_loss = _loss_problems(losses, guessing, suggest)
    return problems | ({} if problems and "flat" in of_loss else of_loss)  # the layers explain a flat loss


class Advisor:
    """Gives each piece of advice once in a training stage, also if the training was interrupted in between.

    Args:
        stage: Settings of the training stage.
        network: Settings of the network.
        guessing: Training loss of a classifier that ignores its input.
        records: Lines of the training log of the epochs before an interruption; their advice was given then.
    """

    def __init__(
        self, stage: GradientStage, network: NetworkSettings, guessing: float, records: Sequence[Record] = ()
    ) -> None:
        self._stage, self._network, self._guessing = stage, network, guessing
        self._losses: list[float] = []
        self._given: set[str] = set()
        for record in records:
            self.hear(record)

    def hear(self, record: Record) -> list[str]:
        """Return the sentences of :func:`advice` after one more epoch, except for problems that were already reported.

        Args:
            record: Line of the training log with ``loss`` and ``layers``. Earlier versions of shapecnn did not write
                ``layers``.

        Returns:
            The sentences.
        """
        self._losses.append(record["loss"])
        layers = [LayerStatistics(**layer) for layer in record.get("layers", [])]
        problems = advice(layers, self._losses, self._stage, self._network, self._guessing)
        sentences = [sentence for problem, sentence in problems.items() if problem not in self._given]
        self._given |= problems.keys()
        return sentences


def _layer_problems(layers: Sequence[LayerStatistics], suggest: Suggest) -> dict[str, str]:
    """Diagnose layers by their gradients and units. Vanishing gradients are reported only without another reason."""
    problems = {}
    if exploding := [(i, _size(layer)) for i, layer in enumerate(layers[:-1]) if _size(layer) > _EXPLODING]:
        number, size = max(exploding, key=lambda each: each[1])
        problems["exploding"] = (
            f"Exploding gradients: the gradient of {_title(layers, number)} is {size:.2g} times as large as its "
            f"weights. {suggest('clip', 'slower', 'init', 'normalization')}"
        )
    if dead := [(i, layer.dead) for i, layer in enumerate(layers) if (layer.dead or 0) >= _DEAD]:
        number, share = max(dead, key=lambda each: each[1] or 0)
        problems["dead"] = (
            f"Dead units: {share:.0%} of the ReLU units of {_title(layers, number)} are 0 for all sampled shapes and "
            f"learn nothing. {suggest('slower', 'clip', 'init', 'tanh', 'normalization')}"
        )
    if saturated := [(i, layer.saturated) for i, layer in enumerate(layers) if (layer.saturated or 0) >= _SATURATED]:
        number, share = max(saturated, key=lambda each: each[1] or 0)
        problems["saturated"] = (
            f"Saturated units: {share:.0%} of the units of {_title(layers, number)} are almost always within 5% of a "
            f"limit of their activation function, where its slope is nearly 0. "
            f"{suggest('init', 'relu', 'normalization', 'slower')}"
        )
    if problems or len(layers) < 3:
        return problems
    first, last = _size(layers[0]), _size(layers[-2])
    if first < _VANISHING * last:
        problems["vanishing"] = (
            f"Vanishing gradients: compared with its weights, the gradient of {_title(layers, 0)} is "
            f"{first / last:.1g} times that of {_title(layers, len(layers) - 2)}, so the first layers hardly learn. "
            f"{suggest('relu', 'init', 'normalization', 'adam')}"
        )
    return problems


def _loss_problems(losses: Sequence[float], guessing: float, suggest: Suggest) -> dict[str, str]:
    """Diagnose the training loss of the finished epochs; at most one problem."""
    count, latest = len(losses), losses[-1]
    if count > 1 and latest > max(_RISE * losses[0], guessing / 2):
        return {
            "rising": f"The training loss has risen from {losses[0]:.3g} to {latest:.3g}: the learning rate may be too "
            f"large. {suggest('slower', 'clip', 'search')}"
        }
    recent = losses[-_SWING_EPOCHS:]
    if latest > guessing / 10 and _oscillates(recent):
        return {
            "oscillating": f"The training loss oscillates between {min(recent):.3g} and {max(recent):.3g}: the "
            f"learning rate may be too large. {suggest('slower', 'stall', 'search')}"
        }
    if count < _FLAT_EPOCHS or min(losses) < _GUESSING * guessing:
        return {}
    start = (
        f"After {count} epochs the training loss, {latest:.3g}, is not clearly below that of guessing, {guessing:.3g}"
    )
    steps = list(pairwise(losses))
    if any(after > (1 + _SWING) * before for before, after in steps):
        return {"flat": f"{start}: the learning rate may be too large. {suggest('slower', 'clip', 'search')}"}
    if all(after < before for before, after in steps):
        return {"flat": f"{start}: the learning rate may be too small. {suggest('faster', 'search')}"}
    return {"flat": f"{start}: the learning rate may be too small or too large. {suggest('search', 'init')}"}


def _oscillates(losses: Sequence[float]) -> bool:
    """Return whether losses rise and fall in turn, by a tenth of their mean, and do not fall in the long run."""
    steps = [after - before for before, after in pairwise(losses)]
    half, mean = len(losses) // 2, sum(losses) / len(losses)
    return (
        len(losses) == _SWING_EPOCHS
        and all(step * following < 0 for step, following in pairwise(steps))
        and sum(map(abs, steps)) > _SWING * mean * len(steps)
        and sum(losses[half:]) > (1 - _SWING) * sum(losses[:half])
    )


def _size(layer: LayerStatistics) -> float:
    """Return the norm of the gradient divided by that of the weights; infinity if the gradient is infinite or NaN."""
    if layer.gradient is None:
        return math.inf
    if not layer.weights or layer.layer.startswith(_ADAPTER):
        return 0.0  # weights that start at 0 have no size to compare with, and those of an adapter do
    return layer.gradient / layer.weights


def _title(layers: Sequence[LayerStatistics], number: int) -> str:
    """Return the number (from 1) and the name of a layer as text."""
    return f"layer {number + 1} ({layers[number].layer})"


def _options(stage: GradientStage, network: NetworkSettings) -> dict[str, str]:
    """Return the options of ``train`` that may help, by a short name; only those that change something."""
    own, fields = f"--set stages.{stage.name}", type(network).model_fields

    def changed(key: str, value: str) -> str:
        """Return the option for a setting of the network; empty if there is no such setting, value or difference."""
        allowed = key in fields and value in get_args(fields[key].annotation) and getattr(network, key) != value
        return f"--set network.{key}={value}" if allowed else ""

    options = {
        "slower": f"{own}.learning_rate={stage.learning_rate / 10:g}",
        "faster": f"{own}.learning_rate={stage.learning_rate * 10:g}",
        "clip": f"{own}.clip=1" if stage.clip is None else "",
        "stall": f"{own}.schedule=stall" if stage.schedule != "stall" else "",
        "adam": f"{own}.optimizer=adam" if stage.optimizer == "sgd" else "",
        "search": "several learning rates with --find-step",
        "relu": changed("activation", "relu"),
        "tanh": changed("activation", "tanh"),
        "init": changed("init", "glorot"),
        "normalization": changed("normalization", "batch"),
    }
    return {name: option for name, option in options.items() if option}
