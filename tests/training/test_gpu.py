"""Training on a CUDA device: the same as on the CPU, in 16 bits, and after an interruption. ``make test-gpu``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from shapecnn.artefacts.reading import open_artefacts
from shapecnn.models.engine import open_engine
from shapecnn.models.model import resolve_model
from shapecnn.models.torch_engine import TorchEngine
from tests.training.data import MVCNN, VOXRESNET, Interrupted, Witness, experiment, run, stage

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


@pytest.mark.parametrize("network", [MVCNN, VOXRESNET])
def test_a_step_on_the_gpu_is_one_on_the_cpu(network: object, views: Path, grids: Path, tmp_path: Path) -> None:
    data = views if network is MVCNN else grids
    plan = experiment(stage(epochs=1, optimizer="sgd"), network=network, precision="float32")
    for device in ("cpu", "cuda"):
        run(plan, data, tmp_path / device, device=device)
    on_cpu, on_gpu = (load_file(tmp_path / device / "model.safetensors") for device in ("cpu", "cuda"))
    for name, tensor in on_cpu.items():
        torch.testing.assert_close(on_gpu[name], tensor, rtol=1e-2, atol=1e-3)


def test_mixed_precision_learns(grids: Path, tmp_path: Path) -> None:
    done = run(experiment(stage(epochs=8), network=VOXRESNET, precision="auto"), grids, tmp_path / "run", device="cuda")
    assert done.validation is not None
    assert done.validation.accuracy > 0.6


def test_interrupted_and_resumed_is_uninterrupted(views: Path, tmp_path: Path) -> None:
    plan = experiment(stage(epochs=3))
    moments = Witness()
    whole = run(plan, views, tmp_path / "whole", moments, device="cuda")
    with pytest.raises(Interrupted):
        run(plan, views, tmp_path / "resumed", Witness(until=len(moments.moments) // 2), device="cuda")
    resumed = run(plan, views, tmp_path / "resumed", device="cuda", resume=True)
    assert whole.validation is not None
    assert resumed.validation is not None
    assert resumed.validation.accuracy == pytest.approx(whole.validation.accuracy, abs=0.2)
    again = load_file(tmp_path / "resumed" / "model.safetensors")
    for name, tensor in load_file(tmp_path / "whole" / "model.safetensors").items():
        torch.testing.assert_close(again[name], tensor, rtol=1e-2, atol=1e-3)


def test_answers_of_a_run_agree_with_those_of_the_cpu(views: Path, tmp_path: Path) -> None:
    run(experiment(stage(epochs=1)), views, tmp_path / "run", device="cuda")
    model = resolve_model(str(tmp_path / "run"))
    artefacts = open_artefacts(views)
    array = model.input.read(artefacts, artefacts.entries[0])
    features = []
    for device in ("cpu", "cuda"):
        engine = open_engine(model, device)
        assert device == "cpu" or isinstance(engine, TorchEngine)
        engine.start(0, array)
        engine.wait()
        feature = engine.finished()[0][1].feature
        features.append(feature / np.linalg.norm(feature))
    assert features[0] @ features[1] > 0.99
