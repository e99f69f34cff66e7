"""Locally connected layer: a convolution whose filters have own weights for each position in the picture."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class LocallyConnected2d(nn.Module):
    """Applies filters to the windows of a picture, like ``nn.Conv2d``, but shares no weights between windows.

    A convolution with F filters of C × K × K weights has F · (C · K² + 1) parameters, with the biases. This layer has
    as many for each of its H' × W' windows.

    Args:
        in_channels: Number of channels of the input, C.
        out_channels: Number of filters at each position, F.
        kernel_size: Side of a window in pixels, K.
        stride: Distance between neighbouring windows in pixels.
        size: Height and width of the input in pixels, H × W.

    Attributes:
        weight: (H', W', F, C, K, K) float, weights of F filters for each of the H' × W' windows.
        bias: (H', W', F) float.

    Raises:
        ValueError: The input is smaller than a window.

    Example:
        >>> layer = LocallyConnected2d(1, 6, 5, size=(32, 32))
        >>> layer(torch.zeros(2, 1, 32, 32)).shape
        torch.Size([2, 6, 28, 28])
        >>> sum(parameter.numel() for parameter in layer.parameters())  # a convolution has 156
        122304
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, *, size: tuple[int, int]
    ) -> None:
        super().__init__()
        if min(size) < kernel_size:
            raise ValueError(f"a window of {kernel_size} pixels a side does not fit into {size[0]} × {size[1]} pixels")
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size, self.stride, self.size = kernel_size, stride, size
        rows, columns = ((length - kernel_size) // stride + 1 for length in size)
        self.weight = nn.Parameter(torch.empty(rows, columns, out_channels, in_channels, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.empty(rows, columns, out_channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weights and biases like ``nn.Conv2d``: uniformly between ±1 / √(C · K²)."""
        bound = 1 / math.sqrt(self.in_channels * self.kernel_size**2)
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """Compute (N, F, H', W') responses of the filters to N inputs (N, C, H, W).

        Raises:
            ValueError: The input does not have the height and width that the layer was built for.
        """
        if x.shape[2:] != self.size:
            raise ValueError(f"the layer was built for {self.size} pixels, not for {tuple(x.shape[2:])}")
        rows, columns, filters = self.bias.shape
        positions, kernel, stride = rows * columns, self.kernel_size, self.stride
        # With the N inputs along the last axis, whole rows of memory are copied, which is several times faster.
        pixels = x.permute(1, 2, 3, 0).contiguous()  # (C, H, W, N)
        windows = pixels.unfold(1, kernel, stride).unfold(2, kernel, stride)  # (C, H', W', N, K, K)
        values = self.in_channels * kernel**2  # in a window; torch could not tell if there are no inputs
        inputs = windows.permute(1, 2, 0, 4, 5, 3).reshape(positions, values, len(x))  # (H'·W', C·K², N)
        weight, bias = self.weight.view(positions, filters, -1), self.bias.view(positions, filters, 1)
        responses = torch.baddbmm(bias, weight, inputs)  # (H'·W', F, N)
        return responses.permute(2, 1, 0).reshape(len(x), filters, rows, columns)

    def extra_repr(self) -> str:
        """Describe the layer in one line, for ``print``."""
        sizes = f"kernel_size={self.kernel_size}, stride={self.stride}, size={self.size}"
        return f"{self.in_channels}, {self.out_channels}, {sizes}"
