"""Processes that torchrun starts train what one process trains, and end together. They talk by gloo on the CPU."""

from __future__ import annotations

import copy
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from shapecnn.artefacts.reading import open_artefacts
from shapecnn.errors import UsageError
from shapecnn.models.run import open_run
from shapecnn.models.run_files import config_bytes
from shapecnn.networks.registry import build_network
from shapecnn.settings.experiment import Experiment
from shapecnn.settings.networks import LenetSettings, LinearSettings, MlpSettings, ShapenetsSettings
from shapecnn.training import acceleration
from shapecnn.training.acceleration import open_accelerator
from shapecnn.training.ending import LOST, has_lost_another
from shapecnn.training.processes import Share, WholeBatch, add_up, from_first, own_places
from tests.conftest import ROOT
from tests.networks.transformers import build_narrow
from tests.training.data import MVCNN, VOXRESNET, Interrupted, Witness, experiment, run, stage

# Batches of 5 of 10 or 12 shapes: their shares are unequal, and of the last batch of 2, two of four processes get none.
PLAIN = experiment(
    {"kind": "rbm", "name": "layers", "epochs": 2, "batch": 5},
    stage(
        "all", epochs=3, batch=5, optimizer="sgd", learning_rate=0.05, clip=1.0,
        augment={"flip": True, "turn": True, "shift": 1},
    ),
    {"kind": "lda", "name": "closed"},
    network=MlpSettings(hidden=(40, 8), activation="sigmoid", dropout=0.4),
    validation={"folds": 3},
)  # fmt: skip
NORMALIZED = experiment(
    stage("all", epochs=2, batch=6, optimizer="sgd", learning_rate=0.003, balance=True),
    {"kind": "logistic", "name": "fitted", "penalty": 0.1},
    network=VOXRESNET.model_copy(update={"dropout": 0.3}),
)


def launch(processes: int, *words: object, each: list[str] | None = None) -> subprocess.CompletedProcess[str]:
    """``shapecnn`` with ``words`` in processes of one thread, or a program in place of ``shapecnn``."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    program = each or ["-m", "shapecnn"]
    return subprocess.run(
        [*command, *program, *map(str, words)], capture_output=True, text=True, check=False, timeout=300,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def train(processes: int, trained: Experiment, data: Path, out: Path, *options: str) -> dict[str, Any]:
    """The answer of ``train``, which must be the only one, as must be each message."""
    config = out.with_suffix(".yaml")
    config.write_bytes(config_bytes(trained))
    done = launch(processes, "train", config, "--data", data, "--out", out, "--device", "cpu", "--json", *options)
    assert done.returncode == 0, done.stderr
    messages = [line for line in done.stderr.splitlines() if ", epoch " in line]
    assert len(messages) == len(set(messages))
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def outputs(out: Path, data: Path) -> tuple[Tensor, Tensor]:
    """Logits and features of all shapes."""
    saved, artefacts = open_run(out), open_artefacts(data)
    network = saved.network.build()
    with torch.inference_mode():
        inputs = np.stack([saved.input.read(artefacts, entry) for entry in artefacts.entries])
        logits, features = network(torch.from_numpy(inputs))
    return logits, nn.functional.normalize(features, dim=1)


def assert_same(out: Path, expected: Path, data: Path, tolerance: float) -> None:
    """Weights, log, logits and similarities. Projections of a discriminant space show in the latter, without turns."""
    found = load_file(out / "model.safetensors")
    for name, tensor in load_file(expected / "model.safetensors").items():
        if not name.startswith("discriminant."):
            torch.testing.assert_close(found[name], tensor, rtol=tolerance, atol=tolerance, msg=lambda m, n=name: n + m)
    logits, features = outputs(out, data)
    its_logits, its_features = outputs(expected, data)
    torch.testing.assert_close(logits, its_logits, rtol=0, atol=20 * tolerance)
    torch.testing.assert_close(features @ features.T, its_features @ its_features.T, rtol=0, atol=20 * tolerance)
    assert_same_log(out, expected, tolerance)
    assert {path.name for path in out.iterdir()} == {path.name for path in expected.iterdir()}
    assert (out / "split.json").read_bytes() == (expected / "split.json").read_bytes()


def assert_same_log(out: Path, expected: Path, tolerance: float) -> None:
    logs = [[json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()] for run in (out, expected)]
    assert [record["stage"] for record in logs[0]] == [record["stage"] for record in logs[1]]
    for record, its in zip(*logs, strict=True):
        for one, other in ((record, its), (record["validation"] or {}, its["validation"] or {})):
            numbers = {key: value for key, value in one.items() if isinstance(value, float) and key != "seconds"}
            assert numbers == pytest.approx({key: other[key] for key in numbers}, rel=20 * tolerance)
        assert [layer["layer"] for layer in record.get("layers", ())] == [e["layer"] for e in its.get("layers", ())]
        for layer, same in zip(record.get("layers", ()), its.get("layers", ()), strict=True):
            assert (layer["dead"], layer["saturated"]) == (same["dead"], same["saturated"])
            assert layer["gradient"] == pytest.approx(same["gradient"], rel=1e-3 + 20 * tolerance)


@pytest.fixture(scope="module")
def alone(grids: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of one process."""
    out = tmp_path_factory.mktemp("alone") / "run"
    run(PLAIN, grids, out)
    return out


@pytest.mark.parametrize("processes", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_several_processes_train_what_one_trains(processes: int, alone: Path, grids: Path, tmp_path: Path) -> None:
    """Up to rounding: order, augmentation, samples and dropout are the same; unequal shares count by their size."""
    answer = train(processes, PLAIN, grids, tmp_path / "run")
    assert answer["validation"]["count"] == 5
    assert_same(tmp_path / "run", alone, grids, 2e-5)


def test_frozen_parts_are_computed_in_parts(views: Path, tmp_path: Path) -> None:
    """Also of mirrored shapes, for a stage that stops early, and of more features than there are shapes."""
    frozen = experiment(
        stage(train_from="head", epochs=9, early_stopping=1, optimizer="sgd", augment={"flip": True}),
        {"kind": "lda", "name": "closed"},
        validation={"folds": 3},
    )
    train(2, frozen, views, tmp_path / "two")
    assert 1 < len((tmp_path / "two" / "metrics.jsonl").read_text().splitlines()) < 10
    run(frozen, views, tmp_path / "one")
    assert_same(tmp_path / "two", tmp_path / "one", views, 2e-5)


class Exact(TorchFunctionMode):
    """In a ``with`` block, torch computes batch normalization in float64."""

    def __torch_function__(self, function: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is not functional.batch_norm:
            return function(*args, **(kwargs or {}))
        inputs, *statistics = args
        doubles = [tensor.double() for tensor in statistics]
        options = {name: value.double() if isinstance(value, Tensor) else value for name, value in kwargs.items()}
        outputs = function(inputs.double(), *doubles, **options)
        for tensor, double in zip(statistics, doubles, strict=True):
            tensor.copy_(double)
        return outputs.to(inputs.dtype)


def test_batch_normalization_is_that_of_the_whole_batch(grids: Path, tmp_path: Path) -> None:
    """As one process computes it in float64: in float32, torch is less exact, as the variance of many cells shows."""
    train(2, NORMALIZED, grids, tmp_path / "two")
    with Exact():
        run(NORMALIZED, grids, tmp_path / "one")
    assert_same(tmp_path / "two", tmp_path / "one", grids, 2e-5)


# Interrupted, and gone on with by another number of processes


def in_the_second_epoch(moments: list[str]) -> bool:
    return moments[-1].startswith("all, epoch 1 of")


def test_one_process_goes_on_with_what_two_have_begun(alone: Path, grids: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_bytes(config_bytes(PLAIN))
    done = launch(2, config, grids, tmp_path / "run", each=[str(Path(__file__).with_name("interrupted.py"))])
    assert "Interrupted" in done.stderr
    assert (tmp_path / "run" / "resume" / "state.pt").exists()
    run(PLAIN, grids, tmp_path / "run", resume=True)
    assert_same(tmp_path / "run", alone, grids, 2e-5)


def test_two_processes_go_on_with_what_one_has_begun(alone: Path, grids: Path, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        run(PLAIN, grids, tmp_path / "run", Witness(in_the_second_epoch))
    train(2, PLAIN, grids, tmp_path / "run", "--resume")
    assert_same(tmp_path / "run", alone, grids, 2e-5)


# The end


def errors(done: subprocess.CompletedProcess[str]) -> list[str]:
    """What the processes say, without what torchrun says."""
    assert "shapecnn/cli" not in done.stderr  # no traceback
    return [line for line in done.stderr.splitlines() if line.startswith("Error: ") or "Interrupted" in line]


def test_an_error_in_one_process_is_told_once_and_ends_all(grids: Path, tmp_path: Path) -> None:
    """A file that only the second process reads is damaged while the first waits for it."""
    shutil.copytree(grids, tmp_path / "grids")
    (tmp_path / "grids" / "slab" / "train" / "04.binvox").write_bytes(b"")
    config = tmp_path / "config.yaml"
    config.write_bytes(config_bytes(PLAIN))
    done = launch(2, "train", config, "--data", tmp_path / "grids", "--out", tmp_path / "run", "--device", "cpu")
    (error,) = errors(done)
    assert "slab/train/04.binvox" in error
    assert done.stderr.count("exitcode  : 1") == 2
    assert not done.stdout


def test_an_error_in_all_processes_is_told_once(grids: Path, tmp_path: Path) -> None:
    done = launch(2, "train", "nothing", "--data", grids, "--out", tmp_path / "run", "--json")
    (error,) = errors(done)
    assert error.startswith("Error: There is no config 'nothing'.")
    assert json.loads(done.stdout)["error"]["kind"] == "usage"
    assert "exitcode  : 2" in done.stderr  # of the first; torchrun may end the others before they do


def test_other_commands_are_refused(tmp_path: Path) -> None:
    done = launch(2, "eval", tmp_path)
    assert errors(done) == [
        "Error: Only train runs in several processes: start eval without torchrun or accelerate launch."
    ]


def test_the_loss_of_another_process_is_told(grids: Path, tmp_path: Path) -> None:
    """As on another machine, where no torchrun ends what is left: these processes are started one by one."""
    config = tmp_path / "config.yaml"
    config.write_bytes(config_bytes(experiment(stage(epochs=100_000), network=VOXRESNET)))
    words = ["-m", "shapecnn", "train", config, "--data", grids, "--out", tmp_path / "run", "--device", "cpu"]
    with socket.create_server(("127.0.0.1", 0)) as free:
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": "2"}
    first, second = (
        subprocess.Popen(
            [sys.executable, *map(str, words)], stderr=subprocess.PIPE, text=True,
            env=os.environ | place | {"RANK": rank, "LOCAL_RANK": rank, "PYTHONPATH": str(ROOT)},
        ) for rank in "01"
    )  # fmt: skip
    with first, second:
        assert first.stderr is not None
        for line in first.stderr:
            if ", epoch 2 of" in line:
                second.kill()
                break
        *_, last = first.stderr.read().splitlines()
    assert last == f"Error: {LOST}"
    assert first.returncode == 1


@pytest.mark.parametrize(
    ("message", "lost"),
    [
        ("[gloo/transport/tcp/pair.cc:538] Connection closed by peer [127.0.0.1]:1024", True),
        ("[gloo/transport/tcp/unbound_buffer.cc:78] Timed out waiting 21600000ms for recv operation to complete", True),
        ("[enforce fail at gloo/transport/tcp/pair.cc:456] op.preamble.length <= op.nbytes. 8 vs 4", False),
        (
            "NCCL error: invalid usage. Last error: Duplicate GPU detected : rank 0 and rank 1 both on CUDA device",
            False,
        ),
    ],
)
def test_only_a_closed_or_silent_connection_is_a_lost_process(message: str, lost: bool) -> None:
    """Not what the program or the person who started it has done wrong."""
    assert has_lost_another(RuntimeError(message)) is lost


def test_no_two_processes_share_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setattr(acceleration, "runs_on_cuda", lambda _: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UsageError, match=r"^2 processes were started on this machine, which has 1 GPU, .*-node 1\)"):
        open_accelerator("cuda", "float32", None)


@pytest.mark.slow
def test_an_error_before_another_process_is_ready_is_told_once(grids: Path, tmp_path: Path) -> None:
    script = tmp_path / "train.sh"
    script.write_text(
        f"[ $RANK = 1 ] && config=nothing || config=demo-shapenets\n"
        f"exec {sys.executable} -P -m shapecnn train $config --data {grids} --out {tmp_path / 'run'} --device cpu\n"
    )
    done = launch(2, each=["--no-python", "sh", str(script)])
    (error,) = errors(done)
    assert error.startswith("Error: There is no config 'nothing'.")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_is_told_once(number: signal.Signals, grids: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_bytes(config_bytes(experiment(stage(epochs=100_000), network=VOXRESNET)))
    words = ["-m", "shapecnn", "train", config, "--data", grids, "--out", tmp_path / "run", "--device", "cpu"]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", *map(str, words)]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if ", epoch 2 of" in line:
                process.send_signal(number)
                break
        rest = process.stderr.read()
    assert rest.count("Finished work is kept; run the same command with --resume to continue.") == 1


# Parts


@pytest.mark.parametrize("kind", ["views", "grids"])
def test_normalizing_in_parts_has_the_gradients_of_torch_in_float64(kind: str, accelerator: Accelerator) -> None:
    shape = (6, 5, 4, 4) if kind == "views" else (6, 5, 3, 3, 3)
    norm = (nn.BatchNorm2d if kind == "views" else nn.BatchNorm3d)(5)
    nn.init.normal_(norm.weight)
    inputs, slope = 2 + 3 * torch.randn(shape), torch.randn(shape)
    results = []
    for module, whole in ((copy.deepcopy(norm).double(), False), (norm, True)):
        x = inputs.to(module.weight.dtype).requires_grad_()
        if whole:
            with WholeBatch(Share(accelerator, len(x))):
                outputs = module(x)
        else:
            outputs = module(x)
        outputs.backward(slope.to(outputs.dtype))
        assert x.grad is not None
        grads = [x.grad, module.weight.grad, module.bias.grad]
        results.append([outputs.detach(), module.running_mean, module.running_var, *grads])
    for found, expected in zip(results[1], results[0], strict=True):
        torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-5)


def test_two_processes_compute_together_what_one_computes(tmp_path: Path) -> None:
    done = launch(2, tmp_path, each=[str(Path(__file__).with_name("together.py"))])
    assert done.returncode == 0, done.stderr


def test_of_a_normalization_only_the_inputs_stay_in_memory(accelerator: Accelerator) -> None:
    """In 16 bits, until the gradients are computed; what comes next may write into its outputs."""
    kept: list[Tensor] = []
    norm, inputs = nn.BatchNorm2d(3), torch.randn(4, 3, 5, 5, dtype=torch.bfloat16, requires_grad=True)
    with (
        torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor),
        WholeBatch(Share(accelerator, 4)),
    ):
        outputs = norm(inputs)
    assert [tensor.dtype for tensor in kept if tensor.numel() == inputs.numel()] == [torch.bfloat16]
    outputs.relu_().sum().backward()
    assert inputs.grad is not None


def test_a_single_value_per_channel_cannot_be_normalized(accelerator: Accelerator) -> None:
    """As in one process, where torch says so."""
    norm = nn.BatchNorm1d(3)
    with WholeBatch(Share(accelerator, 1)), pytest.raises(ValueError, match="Expected more than 1 value per channel"):
        norm(torch.ones(1, 3))
    assert norm.running_var is not None
    assert norm.running_var.isfinite().all()


def test_masks_of_dropout_are_those_of_torch(accelerator: Accelerator) -> None:
    x, drop = torch.randn(7, 9), nn.Dropout(0.4)
    torch.manual_seed(1)
    expected = drop(x)
    torch.manual_seed(1)
    with WholeBatch(Share(accelerator, 7)):
        assert torch.equal(drop(x), expected)


@pytest.mark.parametrize("count", [1, 3, 4, 9])
@pytest.mark.parametrize("processes", [1, 2, 4])
def test_each_place_and_each_example_is_that_of_one_process(count: int, processes: int) -> None:
    from types import SimpleNamespace

    ranks: list[Any] = [SimpleNamespace(num_processes=processes, process_index=rank) for rank in range(processes)]
    assert [place for rank in ranks for place in own_places(rank, count)] == [*range(count)]
    assert len(own_places(ranks[0], count)) == -(-count // processes)
    shares = [Share(rank, count) for rank in ranks]
    assert sorted(example for share in shares for example in range(count)[share.own]) == [*range(count)]
    assert sum(share.part for share in shares) == pytest.approx(1)


def test_one_process_has_all(accelerator: Accelerator) -> None:
    tensor = torch.rand(3)
    assert add_up(accelerator, tensor) is tensor
    assert from_first(accelerator, lambda: [tensor])[0] is tensor


@pytest.mark.parametrize(
    ("settings", "kind", "side"),
    [
        (LinearSettings(), "views", 32),
        (LinearSettings(), "voxels", 22),
        (MlpSettings(hidden=(8,), dropout=0.3), "views", 32),
        (LenetSettings(), "views", 32),
        (LenetSettings(shared=False, pool="gaussian", pool_at="early"), "views", 32),
        (ShapenetsSettings(), "voxels", 30),
        (VOXRESNET, "voxels", 22),
        (MVCNN, "views", 32),
        (MVCNN.model_copy(update={"pooling": "adapter", "width": 4}), "views", 32),
        (MVCNN.model_copy(update={"pool_at": "early"}), "views", 32),
        (MVCNN.model_copy(update={"backbone": "vit_tiny_patch16_224"}), "views", 32),
    ],
    ids=repr,
)
def test_all_networks_take_an_empty_share(
    settings: Any, kind: Any, side: int, accelerator: Accelerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As they get if there are more processes than examples in a batch."""
    build_narrow(monkeypatch)
    network = build_network(settings, side, 3, kind=kind).train()
    shape = (0, 1, side, side, side) if kind == "voxels" else (0, 12, side, side)
    with WholeBatch(Share(accelerator, 2)):
        logits, _ = network(torch.zeros(shape, dtype=torch.uint8))
    logits.sum().backward()
    assert logits.shape == (0, 3)
    assert all(parameter.grad is not None and not parameter.grad.any() for parameter in network.parameters())
