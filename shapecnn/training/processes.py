"""Processes that train one network together: what each computes of a batch or a list, and how results are joined.

``torchrun`` and ``accelerate launch`` start them; without these, there is one. All functions must be called by all
processes in the same order, because each waits for the others.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

if TYPE_CHECKING:
    from accelerate import Accelerator

Value = TypeVar("Value")

_SLICE = 1 << 24  # numbers that processes add up at once


def add_up(accelerator: Accelerator, tensor: Tensor) -> Tensor:
    """Add up a tensor over all processes, element by element, in its own memory.

    The tensor may be larger than the memory of a GPU: it is sent a slice at a time.

    Args:
        accelerator: Accelerate object with the processes.
        tensor: The tensor of this process, of the same shape and type in each. It is used up.

    Returns:
        The sum, on the device of ``tensor`` and with the same bits in all processes. A single process gets its own
        tensor.
    """
    if accelerator.num_processes > 1:
        tensor = tensor.contiguous()
        for part in torch.split(tensor.view(-1), _SLICE):
            part.copy_(accelerator.reduce(part.to(accelerator.device), "sum"))
    return tensor


def to_first(accelerator: Accelerator, tensor: Tensor) -> list[Tensor]:
    """Send a tensor of each process to the first.

    Args:
        accelerator: Accelerate object with the processes.
        tensor: The tensor of this process, of the same shape and type in each.

    Returns:
        In the first process the tensors of all, in order and on the device of ``tensor``; none in the others.
    """
    if accelerator.num_processes == 1:
        return [tensor]
    own = tensor.to(accelerator.device)
    received = [torch.empty_like(own) for _ in range(accelerator.num_processes)] if accelerator.is_main_process else []
    torch.distributed.gather(own, received or None)
    return [each.to(tensor.device) for each in received]


def from_first(accelerator: Accelerator, compute: Callable[[], Value]) -> Value:
    """Call a function in the first process only, and send its result to the others.

    Args:
        accelerator: Accelerate object with the processes.
        compute: The function.

    Returns:
        The result, in all processes.
    """
    from accelerate.utils import broadcast_object_list

    values: list[Any] = [compute() if accelerator.is_main_process else None]
    return cast("Value", broadcast_object_list(values)[0])


def own_places(accelerator: Accelerator, count: int) -> range:
    """Return the places of a list of ``count`` items that this process computes; all processes together have all.

    Args:
        accelerator: Accelerate object with the processes.
        count: Number of items.

    Returns:
        Neighbouring places, from 0. Their numbers differ by at most 1 between processes; the first has the most.

    Example:
        >>> from accelerate import Accelerator
        >>> own_places(Accelerator(cpu=True), 5)  # a single process
        range(0, 5)
    """
    processes, rank = accelerator.num_processes, accelerator.process_index
    start, stop = (math.ceil(count * number / processes) for number in (rank, rank + 1))
    return range(start, stop)


@dataclass(frozen=True, slots=True)
class Share:
    """The part of a batch that this process computes: every P-th example with P processes, maybe none.

    Attributes:
        accelerator: Accelerate object with the processes.
        size: Number of examples in the whole batch.
    """

    accelerator: Accelerator
    size: int

    @property
    def own(self) -> slice:
        """Which examples of the batch are those of this process."""
        return slice(self.accelerator.process_index, None, self.accelerator.num_processes)

    @property
    def part(self) -> float:
        """Number of the examples of this process, divided by that of the whole batch."""
        return len(range(self.size)[self.own]) / self.size

    def add_up(self, tensor: Tensor) -> Tensor:
        """Add up a tensor over the processes, in its own memory; see :func:`add_up`."""
        return add_up(self.accelerator, tensor)


class WholeBatch(TorchFunctionMode):
    """In a ``with`` block, batch normalization and dropout compute as if this process had the whole batch.

    The statistics of batch normalization are those of the batch, and gradients flow through them. Dropout draws the
    mask of the batch, of which each process uses its part: with the same seed, all processes together use the mask of a
    single process. Other layers compute each example alone. Those that draw at random, such as the stochastic depth of
    some backbones of torchvision, draw for this process alone; so does dropout inside attention as torch computes it.

    Args:
        share: The part of the batch that this process computes. In all tensors, the first axis has the examples of this
            process, one after the other, each with the same number of rows (its views or rotations).
    """

    def __init__(self, share: Share) -> None:
        super().__init__()
        self.share = share

    def __torch_function__(
        self,
        function: Callable[..., Any],
        _types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Call ``function``, a function of torch, or what takes its place."""
        kwargs = kwargs or {}
        if function is functional.batch_norm:
            return self._normalize(*args, **kwargs)
        if function is functional.dropout:
            return self._drop(*args, **kwargs)
        return function(*args, **kwargs)

    def _normalize(
        self,
        input: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        """Take the place of :func:`torch.nn.functional.batch_norm`, whose arguments these are."""
        if not training:
            return functional.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
        if self.share.size == 1 and input.numel() == input.shape[1]:  # as torch says it
            raise ValueError(f"Expected more than 1 value per channel when training, got input size {input.shape}")
        arguments = input, weight, bias, eps, self.share
        outputs, mean, variance = cast("tuple[Tensor, ...]", _Normalization.apply(*arguments))
        if running_mean is not None and running_var is not None:
            with torch.no_grad():
                running_mean.lerp_(mean.to(running_mean.dtype), momentum)
                running_var.lerp_(variance.to(running_var.dtype), momentum)
        return outputs

    def _drop(self, input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        """Take the place of :func:`torch.nn.functional.dropout`, whose arguments these are."""
        examples = len(range(self.share.size)[self.share.own])
        if not training or not examples:
            return functional.dropout(input, p, training, inplace)
        shape = (self.share.size, len(input) // examples, *input.shape[1:])
        mask = functional.dropout(input.new_ones((shape[0] * shape[1], *shape[2:])), p)
        return input * mask.reshape(shape)[self.share.own].reshape(input.shape)


class _Normalization(torch.autograd.Function):
    """Batch normalization over the whole batch. As torch does, it keeps only the inputs, of 16 bits under autocast."""

    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, share: Share
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Normalize inputs (B, C, ...); also return mean and unbiased variance (C,) of the batch, in float64."""
        values = inputs.float()
        axes = [axis for axis in range(inputs.ndim) if axis != 1]
        own = torch.full((1,), values.numel() // inputs.shape[1], dtype=torch.float64, device=values.device)
        sums = share.add_up(torch.cat([values.sum(axes).double(), own]))
        mean, count = sums[:-1] / sums[-1], sums[-1]
        outputs = values - _by_channel(mean.float(), inputs)
        squares = share.add_up(outputs.square().sum(axes).double())
        scale = (squares / count + eps).rsqrt().float()
        outputs *= _by_channel(scale if weight is None else scale * weight, inputs)
        if bias is not None:
            outputs += _by_channel(bias, inputs)
        ctx.save_for_backward(inputs, weight, mean, scale, count)
        ctx.share, ctx.axes = share, axes
        ctx.mark_non_differentiable(mean, variance := squares / (count - 1))
        return outputs.to(inputs.dtype), mean, variance

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients by inputs, weight and bias; the latter two of the examples of this process."""
        inputs, weight, centre, scale, count = ctx.saved_tensors
        normal = (inputs.float() - _by_channel(centre.float(), inputs)).mul_(_by_channel(scale, inputs))
        gradient = gradients[0].float()
        own = torch.stack([gradient.sum(ctx.axes), (gradient * normal).sum(ctx.axes)])
        mean, slope = (ctx.share.add_up(own.double()) / count).float()
        change = gradient - _by_channel(mean, inputs) - normal.mul_(_by_channel(slope, inputs))
        change *= _by_channel(scale if weight is None else scale * weight, inputs)
        by_weight, by_bias = (own[row] if ctx.needs_input_grad[which] else None for row, which in ((1, 1), (0, 2)))
        return change.to(inputs.dtype), by_weight, by_bias, None, None


def _by_channel(values: Tensor, like: Tensor) -> Tensor:
    """Reshape values of C channels (C,) so that they combine with a tensor (B, C, ...)."""
    return values.reshape(1, -1, *[1] * (like.ndim - 2))
