"""Vision transformers in the engines: OpenVINO computes what torch computes, for each of the families."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from shapecnn.models.conversion import Queue, convert
from shapecnn.models.engine import open_engine
from shapecnn.models.queue_engines import OpenVinoEngine
from shapecnn.models.untrained import UntrainedModel
from shapecnn.networks.network import FeaturesAlone

SIZES = {"dinov3-s": 64, "dinov2-s": 56, "clip-b32": 96}


def looks(size: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 256, (12, size, size), dtype=np.uint8)


@pytest.mark.parametrize("backbone", SIZES)
def test_openvino_computes_what_torch_computes(backbone: str, narrow: Callable[..., Any]) -> None:
    size = SIZES[backbone]
    network = UntrainedModel.of(backbone=backbone, weights="none", size=size).network.build()
    network.at_once = 5  # for torch; a graph that held each block three times would take three times the memory
    graph, weights = convert(FeaturesAlone(network, views=True), (12, size, size))
    assert graph.count(b'type="ScaledDotProductAttention"') == 2
    queue = Queue(graph, weights, exact=True, threads=1)
    queue.start("shape", looks(size))
    queue.wait()
    ((_, (feature, views)),) = queue.finished()
    with torch.inference_mode():
        activations = network.stem(torch.from_numpy(looks(size))[None])
    expected = activations[0].numpy()
    assert expected.std() > 0.1
    np.testing.assert_allclose(views, expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(feature, expected.mean(axis=0), rtol=1e-3, atol=1e-4)


def test_an_engine_runs_a_named_transformer(
    narrow: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    model = UntrainedModel.of(backbone="dinov2-s", weights="none", size=56)
    engine = open_engine(model, "cpu")
    assert isinstance(engine, OpenVinoEngine)
    for seed in range(3):
        engine.start(seed, looks(56, seed))
    engine.wait()
    found = dict(engine.finished())
    network = model.network.build()
    for seed in range(3):
        with torch.inference_mode():
            expected = network(torch.from_numpy(looks(56, seed))[None])[1][0].numpy()
        cosine = found[seed].feature @ expected / np.linalg.norm(found[seed].feature) / np.linalg.norm(expected)
        assert cosine > 0.99  # the engine may compute in bfloat16
