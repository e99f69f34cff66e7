"""Receptive fields: the part of a view or grid that an activation depends on.

An activation depends on a pixel if it becomes NaN when the pixel is NaN. Unlike gradients, NaN passes through all
layers whatever their weights, through units that are switched off, and through all inputs of max pooling. So the fields
are those of the architecture.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shapecnn.filters.layers import Layer, watching
from shapecnn.filters.results import Box
from shapecnn.networks.network import ShapeNetwork

_NUMBERS = 16 * 224 * 224  # pixels or cells of the inputs that a network gets at a time


@dataclass(frozen=True, slots=True)
class Fields:
    """Receptive fields of all activations in the maps of a layer.

    A field is a box, because convolution and pooling treat each axis separately.

    Attributes:
        ends: For each axis of the maps, (L, 2) int64 for L positions along the axis: index of the first pixel or cell
            of the field, and the index after its last.
    """

    ends: tuple[NDArray[np.int64], ...]

    @property
    def size(self) -> tuple[int, ...]:
        """Size of the largest field along each axis, in pixels or cells."""
        return tuple(int((ends[:, 1] - ends[:, 0]).max()) for ends in self.ends)

    def box(self, position: int) -> Box:
        """Return the field of an activation.

        Args:
            position: Position of the activation in the flattened map.
        """
        places = np.unravel_index(position, [len(ends) for ends in self.ends])
        return tuple((int(ends[at, 0]), int(ends[at, 1])) for ends, at in zip(self.ends, places, strict=True))


def receptive_fields(network: ShapeNetwork, layers: Sequence[Layer], shape: tuple[int, ...]) -> dict[str, Fields]:
    """Compute the receptive fields of layers with maps.

    Each part of the network runs once for each row of its input, and the fields of the parts are joined. Columns, or
    the other axes of a grid, are only compared with the rows at three places if the part treats all axes alike.

    Args:
        network: The network, in evaluation mode and on the CPU, where no convolution mixes in values from outside its
            window.
        layers: Layers of the network. Those without maps are left out.
        shape: Size of a view (S, S) in pixels, or of a grid (N, N, N) in cells.

    Returns:
        Receptive fields by the name of the layer.

    Example:
        >>> from shapecnn.filters.layers import network_layers
        >>> from shapecnn.networks.volumetric import shapenets
        >>> network = shapenets(30, 10).eval()
        >>> fields = receptive_fields(network, network_layers(network, (30, 30, 30)), (30, 30, 30))
        >>> {name: each.size for name, each in fields.items()}
        {'conv1': (6, 6, 6), 'conv2': (14, 14, 14), 'conv3': (26, 26, 26)}
    """
    names = {layer.module: layer.name for layer in layers if layer.maps}
    fields: dict[str, Fields] = {}  # by the path of a module
    before = Fields(tuple(np.stack([np.arange(side), np.arange(side) + 1], axis=1) for side in shape))
    channels: tuple[int, ...] = ()  # before it is encoded, a view or grid has no axis of channels
    for part in ("encode", *(f"parts.{name}" for name in network.parts)):
        if names.keys() <= fields.keys():
            break
        inside = [path for path in names if path.startswith(f"{part}.")]
        last = names.keys() <= {*fields, *inside}  # the output of the part is not needed
        probe = _Probe(network, part, inside if last else [*inside, part], channels, before)
        for path, ends in probe.ends().items():
            fields[path] = Fields(tuple(_join(own, first) for own, first in zip(ends, before.ends, strict=True)))
        if part not in fields:  # from here on, the activations depend on the whole view or grid
            break
        before, channels = fields[part], probe.channels
    return {name: fields[path] for path, name in names.items()}


class _Probe:
    """Finds out which lines of the input of a network part reach which lines of its maps.

    Args:
        network: The network.
        part: Path of the part.
        paths: Paths of the modules whose maps are looked at: modules inside the part, and perhaps the part itself.
        channels: Number of channels of the input of the part, or () for an input without channels.
        before: Receptive fields of the input of the part.

    Attributes:
        channels: Number of channels of the output of the part.
    """

    def __init__(
        self, network: ShapeNetwork, part: str, paths: Sequence[str], channels: tuple[int, ...], before: Fields
    ) -> None:
        self._network, self._part, self._paths = network, part, paths
        self._sides = [len(ends) for ends in before.ends]
        self._inputs, self.channels = channels, channels

    def ends(self) -> dict[str, list[NDArray[np.int64]]]:
        """Return for each module, for each axis of its maps, the ends (L, 2) of the lines that reach L positions."""
        first = self._reach(0, range(self._sides[0]))
        ends = {path: [_ends(reach)] for path, reach in first.items()}
        for axis in range(1, len(self._sides)):
            reach = None
            if self._sides[axis] == self._sides[0]:
                few = sorted({0, self._sides[0] // 3, self._sides[0] - 1})
                some = self._reach(axis, few)
                if all(np.array_equal(some[path], first[path][few]) for path in first):
                    reach = first
            for path, each in (reach or self._reach(axis, range(self._sides[axis]))).items():
                ends[path].append(_ends(each))
        return ends

    def _reach(self, axis: int, lines: Sequence[int]) -> dict[str, NDArray[np.bool_]]:
        """Return for each module (M, L) bool: whether each of M lines of the input reaches each of L lines of the maps.

        In input i, all values with the index of line i along the axis are NaN.
        """
        batches: dict[str, list[Tensor]] = defaultdict(list)
        size = (*self._inputs, *self._sides)

        def note(path: str, output: Tensor) -> None:
            if output.ndim != len(self._sides) + 2:
                return
            if path == self._part:
                self.channels = (output.shape[1],)
            batches[path].append(output.isnan().movedim(axis + 2, 1).flatten(2).any(dim=2))

        for part in parts_of(len(lines), size):
            inputs = torch.zeros((part.stop - part.start, *size))
            for one, line in zip(inputs, lines[part], strict=True):
                one.select(axis + len(self._inputs), line).fill_(torch.nan)
            with torch.no_grad(), watching(self._network, self._paths, note):
                self._network.get_submodule(self._part)(inputs)
        return {path: torch.cat(each).numpy() for path, each in batches.items()}


def parts_of(count: int, size: tuple[int, ...]) -> Iterator[slice]:
    """Split views, grids or maps so that a network gets only so many at a time that memory suffices.

    Args:
        count: Number of views, grids or maps.
        size: Size of each of them: pixels or cells a side, after the number of channels if there are several.

    Yields:
        The indices of those that the network gets at a time, as a slice.
    """
    step = max(1, _NUMBERS // int(np.prod(size)))
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))


def _ends(reach: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the first line that reaches each position, and the line after the last: (L, 2) int64 from (M, L) bool.

    A position that no line reaches, because its window lies beyond the border, gets all lines.
    """
    low, high = reach.argmax(axis=0), len(reach) - reach[::-1].argmax(axis=0)
    return np.stack([low, high], axis=1).astype(np.int64)


def _join(ends: NDArray[np.int64], before: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the fields (L, 2) in the input of the network, from those in the input of a part and those before it."""
    return np.array([(before[low:high, 0].min(), before[low:high, 1].max()) for low, high in ends], np.int64)
