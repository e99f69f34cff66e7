"""Activations: the input of the first trained part of a network, computed once for all shapes and kept on disk.

Where the whole network is trained these are the decoded pictures or grids. Where parts are frozen they are the output
of these parts, plain and, for augmentation by flips, mirrored. The file is memory-mapped, so that memory stays bounded.
"""

from __future__ import annotations

import copy
import itertools
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shapecnn.artefacts.manifest import Entry
from shapecnn.artefacts.reading import Artefacts
from shapecnn.errors import StoredDataError, UsageError
from shapecnn.models import conversion
from shapecnn.models.input import Input, InputArray
from shapecnn.networks.network import ShapeNetwork
from shapecnn.storage.reading import sha256_of
from shapecnn.storage.sealed import open_sealed, publish_beside
from shapecnn.training.augmentation import Change, apply_change
from shapecnn.training.resume import REMEDY
from shapecnn.workers.progress import Progress

if TYPE_CHECKING:
    from accelerate import Accelerator

Encode = Callable[[Iterable[InputArray]], Iterator[NDArray[Any]]]
"""Encoder of a stream of arrays (V, ...) uint8: yields the activations of each, float32 or the bits of bfloat16."""

_READERS = 4  # threads; decoding releases the interpreter lock
_FLIPPED = Change(flip=True)


@dataclass(frozen=True, slots=True)
class Activations:
    """Input of the first trained part, for N shapes.

    Attributes:
        values: (copies, N, V, ...): one copy, or two, the second mirrored. uint8, float32, or uint16.
        bfloat16: Whether the values are bits of bfloat16, for which numpy has no type.
    """

    values: NDArray[Any]
    bfloat16: bool

    @property
    def views_per_shape(self) -> int:
        """Number of views or rotations of each shape."""
        return int(self.values.shape[2])

    @property
    def axes(self) -> int:
        """Number of axes along which pictures (2) or grids (3) can be shifted."""
        return self.values.ndim - 3

    def batch(
        self,
        rows: NDArray[np.int64],
        changes: Sequence[Change] | None = None,
        views: NDArray[np.int64] | None = None,
    ) -> Tensor:
        """Stack the activations of some shapes to a batch.

        Args:
            rows: (B,) int64, the rows of the shapes.
            changes: Augmentation of each row; None for none. Output of frozen parts can only be flipped.
            views: (B,) int64, the only view or rotation to take of each row; None for all.

        Returns:
            (B, V, ...), or (B, 1, ...) where ``views`` is given; uint8, float32 or bfloat16.
        """
        examples = []
        for i, row in enumerate(rows):
            change = changes[i] if changes is not None else Change()
            example = self.values[int(change.flip and len(self.values) > 1), row]
            if views is not None:
                example = example[views[i] : views[i] + 1]
            if self.values.dtype == np.uint8:
                example = apply_change(example, change)
            examples.append(example)
        batch = torch.from_numpy(np.stack(examples))
        return batch.view(torch.bfloat16) if self.bfloat16 else batch


def open_activations(
    path: Path,
    artefacts: Artefacts,
    entries: Sequence[Entry],
    network_input: Input,
    encode: Encode | None,
    flip: bool,
    progress: Progress,
) -> Activations:
    """Open the activations in a file, which are computed first unless the file is there undamaged.

    Args:
        path: The file, ``.npy``.
        artefacts: The pictures or grids.
        entries: The N shapes, in the order of the rows.
        network_input: How the network sees the artefacts.
        encode: The frozen parts; None if there are none.
        flip: Whether a mirrored copy is computed too.
        progress: Called after each shape.

    Returns:
        The activations, memory-mapped.

    Raises:
        UsageError: The disk has too little space.
    """
    if not _is_intact(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial.npy")
        partial.unlink(missing_ok=True)  # left by an interruption; its space is needed
        _write(partial, _compute(artefacts, entries, network_input, encode, flip), len(entries), progress)
        digest = sha256_of(partial)
        partial.replace(path)
        publish_beside(path.parent, {}, REMEDY, {path.name: digest})
    values = np.load(path, mmap_mode="r")
    return Activations(values, bfloat16=values.dtype == np.uint16)


def _is_intact(path: Path) -> bool:
    """Whether the file exists and its hash is right, for which all of it is read."""
    try:
        open_sealed(path.parent, "").check(path.name)
    except StoredDataError:
        return False
    return True


def encoder(network: ShapeNetwork, stop: int, accelerator: Accelerator) -> Encode:
    """Build the encoder that computes the frozen parts of a network.

    On a CPU it computes with OpenVINO where that is installed, else with torch.

    Args:
        network: The network.
        stop: Number of its frozen parts.
        accelerator: Sets device and precision.

    Returns:
        A function from a stream of arrays to a stream of activations.
    """
    bfloat16 = accelerator.mixed_precision == "bf16"

    def to_numpy(activations: Tensor) -> NDArray[Any]:
        return activations.bfloat16().view(torch.uint16).numpy() if bfloat16 else activations.float().numpy()

    def by_openvino(inputs: Iterable[InputArray]) -> Iterator[NDArray[Any]]:
        stream = iter(inputs)
        first = next(stream, None)
        if first is not None:
            # A copy in the contiguous layout; the network itself keeps the layout in which it trains.
            frozen = _Frozen(copy.deepcopy(network).cpu().to(memory_format=torch.contiguous_format), stop).eval()
            queue = conversion.Queue(*conversion.convert(frozen, first.shape), exact=not bfloat16)
            yield from (to_numpy(torch.from_numpy(out)) for (out,) in queue.map(itertools.chain([first], stream)))

    def by_torch(inputs: Iterable[InputArray]) -> Iterator[NDArray[Any]]:
        network.eval()
        for array in inputs:
            with torch.inference_mode(), accelerator.autocast():
                activations = network.stem(torch.from_numpy(array)[None].to(accelerator.device), stop=stop)
            yield to_numpy(activations[0].cpu().contiguous())

    return by_openvino if accelerator.device.type == "cpu" and conversion.available() else by_torch


class _Frozen(nn.Module):
    """Frozen first parts of a network."""

    def __init__(self, network: ShapeNetwork, stop: int) -> None:
        super().__init__()
        self.network, self.stop = network, stop

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute the activations of inputs (B, V, ...)."""
        return self.network.stem(inputs, stop=self.stop)


def _compute(
    artefacts: Artefacts, entries: Sequence[Entry], network_input: Input, encode: Encode | None, flip: bool
) -> Iterator[NDArray[Any]]:
    """Yield the activations (copies, V, ...) of each shape."""
    decoded = _decode(artefacts, entries, network_input)
    if encode is None:
        yield from (array[None] for array in decoded)
        return
    changes = (Change(), _FLIPPED) if flip else (Change(),)
    copies = (np.ascontiguousarray(apply_change(array, change)) for array in decoded for change in changes)
    activations = encode(copies)
    yield from map(np.stack, zip(*[activations] * len(changes), strict=True))


def _decode(artefacts: Artefacts, entries: Sequence[Entry], network_input: Input) -> Iterator[InputArray]:
    """Yield the pictures or grids (V, ...) uint8 of each shape, a few of them decoded ahead."""
    with ThreadPoolExecutor(_READERS) as readers:
        queue = []
        for entry in entries:
            queue.append(readers.submit(network_input.read, artefacts, entry))
            if len(queue) > 2 * _READERS:
                yield queue.pop(0).result()
        for future in queue:
            yield future.result()


def _write(path: Path, rows: Iterator[NDArray[Any]], count: int, progress: Progress) -> None:
    """Write rows of activations to a ``.npy`` file as they come."""
    values: np.memmap[Any, Any] | None = None
    for done, row in enumerate(rows):
        if values is None:
            shape = (row.shape[0], count, *row.shape[1:])
            needed, free = row.nbytes * count, shutil.disk_usage(path.parent).free
            if needed > free:
                raise UsageError(
                    f"Training needs {needed / 1e9:.1f} GB beside {path.parent.parent}, where {free / 1e9:.1f} GB are "
                    f"free. Choose another --out, or free some space."
                )
            values = np.lib.format.open_memmap(path, mode="w+", dtype=row.dtype, shape=shape)
            if hasattr(os, "posix_fallocate"):  # a disk that fills up later would kill this process
                with path.open("r+b") as file:
                    os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        values[:, done] = row
        progress(done + 1, count)
    if values is not None:
        values.flush()
