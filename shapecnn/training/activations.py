"""Activations: the values at which a training stage starts, computed once for all shapes and stored on disk.

A stage may leave the first parts of the network frozen, which means that their weights do not change. The activations
are then the output of these parts. If the stage changes the whole network, the activations are the decoded views or
grids. For augmentation by flips, the frozen parts are also computed for
mirrored shapes. The file is memory-mapped, so that memory use stays bounded.
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
from shapecnn.descriptors import Queue as DescriptorQueue
from shapecnn.errors import StoredDataError, UsageError
from shapecnn.models import conversion
from shapecnn.models.input import Input, InputArray
from shapecnn.networks.network import ShapeNetwork
from shapecnn.shared.queues import outputs_in_order
from shapecnn.storage.reading import sha256_of
from shapecnn.storage.sealed import open_sealed, publish_beside
from shapecnn.storage.unfinished import RESUME_REMEDY
from shapecnn.training.augmentation import Change, apply_change
from shapecnn.training.processes import from_first, own_places
from shapecnn.workers.progress import Progress

if TYPE_CHECKING:
    from accelerate import Accelerator

Encode = Callable[[Iterable[InputArray]], Iterator[NDArray[Any]]]
"""Function from a stream of views or grids to a stream of activations, one array per shape.

An input array is (V, ...) uint8, of V views or rotations. Its activations are float32, or uint16 with bfloat16 bits.
"""

_READERS = 4  # number of threads that decode files; decoding releases the interpreter lock
_FLIPPED = Change(flip=True)


@dataclass(frozen=True, slots=True)
class Activations:
    """Activations of N shapes with V views or rotations each: the input of the first network part that is not frozen.

    Attributes:
        values: (copies, N, V, ...) uint8, float32 or uint16. If there are 2 copies, the second is of mirrored shapes.
        bfloat16: Whether the values are bfloat16 numbers, stored as uint16 because numpy has no such type.
    """

    values: NDArray[Any]
    bfloat16: bool

    @property
    def views_per_shape(self) -> int:
        """Number of views or rotations of each shape."""
        return int(self.values.shape[2])

    @property
    def axes(self) -> int:
        """Number of axes along which a shape can be shifted: 2 for pictures, 3 for grids."""
        return self.values.ndim - 3

    def batch(
        self,
        rows: NDArray[np.int64],
        changes: Sequence[Change] | None = None,
        views: NDArray[np.int64] | None = None,
    ) -> Tensor:
        """Stack the activations of B shapes to a batch, with augmentation.

        Args:
            rows: (B,) int64, the index of each shape, from 0 to N - 1.
            changes: Augmentation of each shape; None for no augmentation. If the activations are outputs of
                frozen network parts, only the flip is applied.
            views: (B,) int64, the number of a single view or rotation of each shape; None for all V views.

        Returns:
            (B, V, ...) for V views or rotations, or (B, 1, ...) if ``views`` is given; uint8, float32 or bfloat16.
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
        views_shape = (self.views_per_shape if views is None else 1, *self.values.shape[3:])
        batch = torch.from_numpy(np.stack(examples) if examples else np.empty((0, *views_shape), self.values.dtype))
        return batch.view(torch.bfloat16) if self.bfloat16 else batch


def open_activations(
    path: Path,
    artefacts: Artefacts,
    entries: Sequence[Entry],
    network_input: Input,
    encode: Encode | None,
    flip: bool,
    accelerator: Accelerator,
    progress: Progress,
) -> Activations:
    """Open a file of activations (see the module docstring); compute the file if it is missing or damaged.

    Several processes compute the activations of some shapes each, and write them into the same file.

    Args:
        path: Path of the ``.npy`` file.
        artefacts: The views or grids.
        entries: Manifest entries of the shapes, in the order of the activations.
        network_input: Converter from artefacts to the input of the network.
        encode: Function that computes the frozen parts; None if no part is frozen.
        flip: Whether to compute the activations of mirrored shapes too.
        accelerator: Accelerate object with the processes.
        progress: Callback after each shape.

    Returns:
        The activations, memory-mapped.

    Raises:
        UsageError: The disk has too little free space.
    """
    if not from_first(accelerator, lambda: _is_intact(path)):
        partial = path.with_suffix(".partial.npy")
        places = own_places(accelerator, len(entries))
        rows = _compute(artefacts, entries[places.start : places.stop], network_input, encode, flip)
        _write(partial, rows, places, len(entries), accelerator, progress)
        if accelerator.is_main_process:
            digest = sha256_of(partial)
            partial.replace(path)
            publish_beside(path.parent, {}, RESUME_REMEDY, {path.name: digest})
        accelerator.wait_for_everyone()
    values = np.load(path, mmap_mode="r")
    return Activations(values, bfloat16=values.dtype == np.uint16)


def _is_intact(path: Path) -> bool:
    """Return whether a file exists and its content has the recorded hash. The whole file is read."""
    try:
        open_sealed(path.parent, "").check(path.name)
    except StoredDataError:
        return False
    return True


def encoder(network: ShapeNetwork, stop: int, accelerator: Accelerator) -> Encode:
    """Create a function that applies the frozen parts of a network to views or grids.

    On a CPU, the function uses OpenVINO if installed. Otherwise it uses torch. Engineered descriptors are computed in
    threads.

    Args:
        network: The network.
        stop: Number of frozen parts of the network.
        accelerator: Accelerate object with device and precision.

    Returns:
        Function from a stream of input arrays to a stream of activations.
    """
    bfloat16 = accelerator.mixed_precision == "bf16"

    def to_numpy(activations: Tensor) -> NDArray[Any]:
        return activations.bfloat16().view(torch.uint16).numpy() if bfloat16 else activations.float().numpy()

    def by_openvino(inputs: Iterable[InputArray]) -> Iterator[NDArray[Any]]:
        stream = iter(inputs)
        first = next(stream, None)
        if first is not None:
            # OpenVINO needs a copy in the contiguous layout; the network itself keeps the layout used for training.
            frozen = _Frozen(copy.deepcopy(network).cpu().to(memory_format=torch.contiguous_format), stop).eval()
            queue = conversion.Queue(*conversion.convert(frozen, first.shape), exact=not bfloat16)
            outputs = outputs_in_order(queue, itertools.chain([first], stream))
            yield from (to_numpy(torch.from_numpy(array)) for (array,) in outputs)

    def by_torch(inputs: Iterable[InputArray]) -> Iterator[NDArray[Any]]:
        network.eval()
        for array in inputs:
            with torch.inference_mode(), accelerator.autocast():
                activations = network.stem(torch.from_numpy(array)[None].to(accelerator.device), stop=stop)
            yield to_numpy(activations[0].cpu().contiguous())

    def by_descriptor(inputs: Iterable[InputArray]) -> Iterator[NDArray[Any]]:
        assert network.descriptor is not None
        for (descriptor,) in outputs_in_order(DescriptorQueue(network.descriptor), inputs):
            yield descriptor[None]

    if network.descriptor is not None:
        return by_descriptor
    return by_openvino if accelerator.device.type == "cpu" and conversion.available() else by_torch


class _Frozen(nn.Module):
    """Torch module that applies only the first, frozen parts of a network."""

    def __init__(self, network: ShapeNetwork, stop: int) -> None:
        super().__init__()
        self.network, self.stop = network, stop

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute the outputs of the frozen parts for a batch (B, V, ...) of B shapes with V views or rotations."""
        return self.network.stem(inputs, stop=self.stop)


def _compute(
    artefacts: Artefacts, entries: Sequence[Entry], network_input: Input, encode: Encode | None, flip: bool
) -> Iterator[NDArray[Any]]:
    """Yield the activations of each shape with V views: (1, V, ...), or with ``flip`` (2, V, ...).

    With ``flip``, the second row of the array belongs to the mirrored shape. If ``encode`` is None, the activations are
    the views or grids themselves, (1, V, ...).
    """
    decoded = _decode(artefacts, entries, network_input)
    if encode is None:
        yield from (array[None] for array in decoded)
        return
    changes = (Change(), _FLIPPED) if flip else (Change(),)
    copies = (np.ascontiguousarray(apply_change(array, change)) for array in decoded for change in changes)
    activations = encode(copies)
    yield from map(np.stack, zip(*[activations] * len(changes), strict=True))


def _decode(artefacts: Artefacts, entries: Sequence[Entry], network_input: Input) -> Iterator[InputArray]:
    """Yield the V views or grids (V, ...) uint8 of each shape. A few shapes are decoded ahead, in parallel."""
    with ThreadPoolExecutor(_READERS) as readers:
        queue = []
        for entry in entries:
            queue.append(readers.submit(network_input.read, artefacts, entry))
            if len(queue) > 2 * _READERS:
                yield queue.pop(0).result()
        for future in queue:
            yield future.result()


def _write(
    path: Path,
    rows: Iterator[NDArray[Any]],
    places: range,
    count: int,
    accelerator: Accelerator,
    progress: Progress,
) -> None:
    """Write the activations of the shapes at ``places`` to a ``.npy`` file of ``count`` shapes, one shape at a time.

    The first process creates the file. Others may run on other machines, so nothing is written to mapped memory, where
    a page could belong to the shapes of two processes.
    """
    first = next(rows, None)  # None if there are more processes than shapes
    if accelerator.is_main_process and first is not None:
        _create(path, first, count)
    accelerator.wait_for_everyone()
    if first is not None:
        start = np.load(path, mmap_mode="r").offset
        with path.open("r+b") as file:
            for done, (place, row) in enumerate(zip(places, itertools.chain([first], rows), strict=True), start=1):
                for copy, values in enumerate(row):
                    file.seek(start + (copy * count + place) * values.nbytes)
                    file.write(values.tobytes())
                progress(min(done * accelerator.num_processes, count), count)
    accelerator.wait_for_everyone()


def _create(path: Path, row: NDArray[Any], count: int) -> None:
    """Create a ``.npy`` file for the activations of ``count`` shapes, from those of the first (copies, ...)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)  # a file of an interrupted computation would take up disk space
    needed, free = row.nbytes * count, shutil.disk_usage(path.parent).free
    if needed > free:
        raise UsageError(
            f"Training needs {needed / 1e9:.1f} GB of disk space in {path.parent.parent}, but "
            f"{free / 1e9:.1f} GB are free. Choose another --out (with --find-step, set TMPDIR to another "
            f"folder), or free some space."
        )
    np.lib.format.open_memmap(path, mode="w+", dtype=row.dtype, shape=(row.shape[0], count, *row.shape[1:]))
    if hasattr(os, "posix_fallocate"):  # reserve the space: if the disk filled up later, the work would be in vain
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
