"""The size of a network, and the time that it and a search take."""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np

from shapecnn.evaluation.contenders import Contender
from shapecnn.evaluation.results import Evaluation
from shapecnn.models.engine import Device, open_engine
from shapecnn.shared.similarity import nearest, unit_float64

_TIMED_SHAPES, _TIMED_SEARCHES = 16, 100


class Network(NamedTuple):
    """Size and speed of a network.

    Attributes:
        parameters: How many it has.
        seconds_per_shape: The median time for one shape.
    """

    parameters: int
    seconds_per_shape: float


def measure_network(contender: Contender, evaluation: Evaluation, device: Device) -> Network:
    """Time the network of a contender on up to 16 shapes, one at a time.

    Reading files does not count, nor does a first shape, for which the engine makes ready.

    Args:
        contender: The model and what it sees.
        evaluation: Its evaluation, of which the first shapes are taken.
        device: Where the network runs.
    """
    model = contender.model
    engine = open_engine(model, device)
    inputs = [model.input.read(contender.artefacts, entry) for entry in evaluation.entries[:_TIMED_SHAPES]]
    seconds = []
    for key, array in enumerate([inputs[0], *inputs]):
        started = time.perf_counter()
        engine.start(key, array)
        engine.wait()
        seconds.append(time.perf_counter() - started)
    parameters = model.network.build().parameter_count
    return Network(parameters, float(np.median(seconds[1:])))


def seconds_per_search(evaluation: Evaluation) -> float:
    """Time searches, one at a time, each of which sorts all items of the gallery.

    Args:
        evaluation: One with retrieval, of which the first 100 query items are taken.

    Returns:
        The median in seconds.
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
