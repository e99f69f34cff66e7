"""A vision transformer trains like any backbone: from one of its blocks, or its head alone, and comes back as a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from shapecnn.errors import UsageError
from shapecnn.models.engine import open_engine
from shapecnn.models.run import open_run
from tests.training.data import VIEWS, collection, experiment, pictures, run, stage, write_artefacts

NETWORK = {"kind": "mvcnn", "backbone": "dinov3-s", "weights": "none"}


@pytest.fixture
def views(tmp_path: Path) -> Path:
    return write_artefacts(tmp_path / "views", VIEWS, collection(pictures))


@pytest.mark.parametrize("first", ["block1", "head"])
def test_it_trains_from_a_part_and_comes_back(
    first: str, views: Path, tmp_path: Path, narrow: Callable[..., Any]
) -> None:
    settings = experiment(stage(train_from=first, learning_rate=0.01), network=NETWORK)
    before = narrow("vit_small_patch16_dinov3").state_dict()
    run(settings, views, tmp_path / "run")
    model = open_run(tmp_path / "run")
    network = model.network.build()
    own = network.state_dict()
    assert torch.equal(own["parts.first.patch_embed.proj.weight"], before["patch_embed.proj.weight"])
    assert torch.equal(own["parts.block0.block.attn.qkv.weight"], before["blocks.0.attn.qkv.weight"])
    learned = not torch.equal(own["parts.block1.block.attn.qkv.weight"], before["blocks.1.attn.qkv.weight"])
    assert learned == (first == "block1")
    engine = open_engine(model, "cpu")
    engine.start("bar", pictures("bar", 0))
    engine.wait()
    ((_, output),) = engine.finished()
    with torch.inference_mode():
        expected = network(torch.from_numpy(pictures("bar", 0))[None])[1][0].numpy()
    cosine = output.feature @ expected / np.linalg.norm(output.feature) / np.linalg.norm(expected)
    assert cosine > 0.99


def test_the_parts_to_train_from_are_named(views: Path, tmp_path: Path, narrow: Callable[..., Any]) -> None:
    settings = experiment(stage(train_from="blocks"), network=NETWORK)
    with pytest.raises(UsageError, match=r"no part 'blocks'\. Use one of first, block0, block1, last, head"):
        run(settings, views, tmp_path / "run")
