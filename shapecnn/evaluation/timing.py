"""Count the parameters of a network, and measure its time for one shape and the time of one search."""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np

from shapecnn.evaluation.contenders import Contender
from shapecnn.evaluation.results import Evaluation
from shapecnn.models.engine import Engine
from shapecnn.shared.similarity import nearest, unit_float64

_TIMED_SEARCHES = 100
_FEWEST, _MOST = 3, 16  # shapes that a network is timed on
_ENOUGH = 3.0  # seconds of timing after which _FEWEST shapes are enough


class Network(NamedTuple):
    """Size and speed of a network.

    Attributes:
        parameters: Number of parameters of the network.
        seconds_per_shape: Median time in seconds that the network takes for one shape.
    """

    parameters: int
    seconds_per_shape: float


def measure_network(contender: Contender, evaluation: Evaluation, engine: Engine) -> Network:
    """Count the parameters of a network and time it on a few shapes, one at a time.

    There are 16 shapes; a slow network is timed on fewer, at least on 3, so that the timing takes few seconds. The time
    excludes reading files, and a first run in which the inference engine prepares itself.

    Args:
        contender: The model and its artefacts.
        evaluation: Evaluation of the contender; its first shapes are timed.
        engine: Inference engine of the model.

    Returns:
        The number of parameters and the median time.
    """
    model = contender.model
    shapes = evaluation.entries[:_MOST]
    seconds: list[float] = []
    for key, entry in enumerate([shapes[0], *shapes]):
        array = model.input.read(contender.artefacts, entry)
        started = time.perf_counter()
        engine.start(key, array)
        engine.wait()
        seconds.append(time.perf_counter() - started)
        if len(seconds) > _FEWEST and sum(seconds[1:]) > _ENOUGH:
            break
    parameters = model.network.build().parameter_count
    return Network(parameters, float(np.median(seconds[1:])))


def seconds_per_search(evaluation: Evaluation) -> float:
    """Measure the median time of one search, which sorts the whole gallery by similarity to one query.

    Args:
        evaluation: Evaluation that includes retrieval; its first 100 queries are timed.

    Returns:
        The median time in seconds.
    """
    assert evaluation.queries is not None
    assert evaluation.gallery is not None
    queries, gallery = (
        unit_float64(items.features.reshape(-1, items.features.shape[-1]))
        for items in (evaluation.queries, evaluation.gallery)
    )
    seconds = []
    for query in queries[:_TIMED_SEARCHES]:
        started = time.perf_counter()
        nearest(query[None], gallery, np.array([-1]), len(gallery), evaluation.gallery.similarity)
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds))
