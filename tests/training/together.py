"""Add up and normalize, in the two processes that torchrun starts, and compare with what one process computes.

torchrun --nproc-per-node 2 tests/training/together.py FOLDER
"""

from __future__ import annotations

import copy
import sys
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from shapecnn.networks.registry import build_network
from shapecnn.settings.networks import MlpSettings
from shapecnn.training import processes
from shapecnn.training.activations import Activations, _write
from shapecnn.training.boltzmann import Rbm, contrastive_divergence
from shapecnn.training.parts import outputs
from shapecnn.training.processes import Share, WholeBatch, add_up, own_places
from shapecnn.workers.progress import no_progress


def add_up_in_slices(accelerator: Accelerator) -> None:
    """Not more than a slice is on the device of the network at once."""
    sizes, reduce, processes._SLICE = [], accelerator.reduce, 5

    def watched(tensor: Tensor, how: str) -> Tensor:
        sizes.append(tensor.numel())
        return reduce(tensor, how)

    accelerator.reduce = watched
    for whole in (torch.arange(12.0).reshape(3, 4), torch.arange(12).reshape(4, 3).T, torch.tensor(2.5), torch.ones(0)):
        own = whole if accelerator.is_main_process else 10 * whole
        torch.testing.assert_close(add_up(accelerator, own.clone()), 11 * whole, rtol=0, atol=0)
    assert sizes == [5, 5, 2, 5, 5, 2, 1, 0], sizes
    accelerator.reduce = reduce


def normalize(accelerator: Accelerator, examples: int, rows: int) -> None:
    """The shares of the processes are unequal, or one has none."""
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(5)
    nn.init.normal_(norm.weight)
    exact, shape = copy.deepcopy(norm).double(), (examples, rows, 5, 4, 4)
    inputs, slope = 2 + 3 * torch.randn(shape), torch.randn(shape)
    whole = inputs.double().requires_grad_()
    expected = exact(whole.flatten(0, 1)).reshape(shape)
    expected.backward(slope.double())
    share = Share(accelerator, examples)
    own = inputs[share.own].requires_grad_()
    with WholeBatch(share):
        outputs = norm(own.flatten(0, 1)).reshape(own.shape)
    outputs.backward(slope[share.own])
    for parameter in norm.parameters():
        add_up(accelerator, parameter.grad)
    for found, its in (
        (outputs, expected[share.own]),
        (own.grad, whole.grad[share.own]),
        (norm.running_mean, exact.running_mean),
        (norm.running_var, exact.running_var),
        (norm.weight.grad, exact.weight.grad),
        (norm.bias.grad, exact.bias.grad),
    ):
        torch.testing.assert_close(found.double(), its, rtol=1e-5, atol=1e-5)


def diverge(accelerator: Accelerator, size: int) -> None:
    """Contrastive divergence of a convolution, of whose batch each process has a share, or one of them none."""
    torch.manual_seed(1)
    rbm, data = Rbm(nn.Conv3d(2, 4, 3, stride=2), (2, 7, 7, 7)), torch.rand(size, 2, 7, 7, 7).round()
    share = Share(accelerator, size)
    with torch.no_grad():
        whole = contrastive_divergence(rbm, data, 2, torch.Generator().manual_seed(2))
        found = contrastive_divergence(rbm, data[share.own], 2, torch.Generator().manual_seed(2), share)
    for name in ("weight", "hidden_bias", "visible_bias", "activation"):
        torch.testing.assert_close(getattr(found, name), getattr(whole, name), rtol=1e-5, atol=1e-5)


def collect(accelerator: Accelerator, count: int) -> None:
    """The scores of all shapes, of which each process computes some batches, or none; only the first holds them."""
    torch.manual_seed(3)
    network = build_network(MlpSettings(hidden=(8,)), 16, 3, kind="views")
    inputs = torch.randint(256, (count, 2, 16, 16), dtype=torch.uint8)
    activations, rows = Activations(inputs.numpy()[None], bfloat16=False), np.arange(count)[::-1].copy()
    with torch.inference_mode():
        whole = network.eval()(inputs[rows])
    found = outputs(network, activations, rows, accelerator, 0)
    for tensor, its in zip(found, whole, strict=True):
        torch.testing.assert_close(tensor, its if accelerator.is_main_process else its[:0])


def share_a_file(accelerator: Accelerator, count: int, path: Path) -> None:
    """Activations of shapes and of their mirrored copies, which each process writes for some shapes, or for none."""
    values = np.random.default_rng(4).normal(size=(count, 2, 3, 5)).astype(np.float32)
    places = own_places(accelerator, count)
    _write(path, iter(values[places.start : places.stop]), places, count, accelerator, no_progress)
    assert np.array_equal(np.load(path), values.swapaxes(0, 1))
    accelerator.wait_for_everyone()


if __name__ == "__main__":
    together = Accelerator(cpu=True)
    assert together.num_processes == 2
    add_up_in_slices(together)
    normalize(together, 3, 2)
    normalize(together, 1, 6)
    diverge(together, 3)
    diverge(together, 1)
    for some in (70, 1):
        collect(together, some)
        share_a_file(together, some, Path(sys.argv[1]) / f"{some}.npy")
    together.end_training()
