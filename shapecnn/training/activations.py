"""What enters the trained part of a network, computed once for all shapes and kept on disk.

Where everything is trained that is the pictures or grids themselves, decoded; where parts are frozen, what leaves
them, plain and, if they are to be flipped, mirrored. The file is mapped, not read: memory stays bounded.
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
"""Looks (V, ...) uint8 one after the other → the activations of each, in order: float32, or the bits of bfloat16."""

_READERS = 4  # decoding releases the interpreter
_FLIPPED = Change(flip=True)


@dataclass(frozen=True, slots=True)
class Activations:
    """values: (copies, N, V, ...), copies plain and mirrored, or plain alone.  bfloat16: as the bits of it, for which
    numpy has no type."""

    values: NDArray[Any]
    bfloat16: bool

    @property
    def looks(self) -> int:
        """Views or rotations of each shape."""
        return int(self.values.shape[2])

    @property
    def axes(self) -> int:
        """Along which a picture (2) or a grid (3) may be shifted."""
        return self.values.ndim - 3

    def batch(
        self,
        rows: NDArray[np.int64],
        changes: Sequence[Change] | None = None,
        looks: NDArray[np.int64] | None = None,
    ) -> Tensor:
        """(B, V, ...) of some rows, changed; only look i of row i, (B, 1, ...), if ``looks`` are given."""
        examples = []
        for i, row in enumerate(rows):
            change = changes[i] if changes is not None else Change()
            example = self.values[int(change.flip and len(self.values) > 1), row]
            if looks is not None:
                example = example[looks[i] : looks[i] + 1]
            if self.values.dtype == np.uint8:
                example = apply_change(example, change)
            examples.append(example)
        batch = torch.from_numpy(np.stack(examples))
        return batch.view(torch.bfloat16) if self.bfloat16 else batch


def open_activations(
    path: Path,
    artefacts: Artefacts,
    entries: Sequence[Entry],
    seen: Input,
    encode: Encode | None,
    flip: bool,
    progress: Progress,
) -> Activations:
    """Those in ``path``, computed now unless they are there as they were written.

    encode: the frozen parts; None where there are none.  Raises UsageError if the disk is too full for them.
    """
    if not _kept(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial.npy")
        partial.unlink(missing_ok=True)  # of an interrupted sitting: its room is needed
        _write(partial, _computed(artefacts, entries, seen, encode, flip), len(entries), progress)
        digest = sha256_of(partial)
        partial.replace(path)
        publish_beside(path.parent, {}, REMEDY, {path.name: digest})
    values = np.load(path, mmap_mode="r")
    return Activations(values, bfloat16=values.dtype == np.uint16)


def _kept(path: Path) -> bool:
    """Whether the file is there and its hash, which takes a reading of all of it, is right."""
    try:
        open_sealed(path.parent, "").check(path.name)
    except StoredDataError:
        return False
    return True


def encoder(network: ShapeNetwork, stop: int, accelerator: Accelerator) -> Encode:
    """The parts before ``stop``, on the fastest engine: OpenVINO on a CPU where it is installed, else torch."""
    bits = accelerator.mixed_precision == "bf16"

    def stored(activations: Tensor) -> NDArray[Any]:
        return activations.bfloat16().view(torch.uint16).numpy() if bits else activations.float().numpy()

    def by_openvino(inputs: Iterable[InputArray]) -> Iterator[NDArray[Any]]:
        stream = iter(inputs)
        first = next(stream, None)
        if first is not None:
            # A copy on the CPU, as it is stored: the network itself goes on in the layout it trains in.
            frozen = _Frozen(copy.deepcopy(network).cpu().to(memory_format=torch.contiguous_format), stop).eval()
            queue = conversion.Queue(*conversion.convert(frozen, first.shape), exact=not bits)
            yield from (stored(torch.from_numpy(out)) for (out,) in queue.map(itertools.chain([first], stream)))

    def by_torch(inputs: Iterable[InputArray]) -> Iterator[NDArray[Any]]:
        network.eval()
        for looks in inputs:
            with torch.inference_mode(), accelerator.autocast():
                activations = network.stem(torch.from_numpy(looks)[None].to(accelerator.device), stop=stop)
            yield stored(activations[0].cpu().contiguous())

    return by_openvino if accelerator.device.type == "cpu" and conversion.available() else by_torch


class _Frozen(nn.Module):
    """The first parts of a network."""

    def __init__(self, network: ShapeNetwork, stop: int) -> None:
        super().__init__()
        self.network, self.stop = network, stop

    def forward(self, looks: Tensor) -> Tensor:
        """Looks (B, V, ...) → their activations."""
        return self.network.stem(looks, stop=self.stop)


def _computed(
    artefacts: Artefacts, entries: Sequence[Entry], seen: Input, encode: Encode | None, flip: bool
) -> Iterator[NDArray[Any]]:
    """(copies, V, ...) of each shape."""
    decoded = _decoded(artefacts, entries, seen)
    if encode is None:
        yield from (looks[None] for looks in decoded)
        return
    changes = (Change(), _FLIPPED) if flip else (Change(),)
    copies = (np.ascontiguousarray(apply_change(looks, change)) for looks in decoded for change in changes)
    encoded = encode(copies)
    yield from map(np.stack, zip(*[encoded] * len(changes), strict=True))


def _decoded(artefacts: Artefacts, entries: Sequence[Entry], seen: Input) -> Iterator[InputArray]:
    """What is seen of each shape, a few of them decoded ahead."""
    with ThreadPoolExecutor(_READERS) as readers:
        waiting = []
        for entry in entries:
            waiting.append(readers.submit(seen.read, artefacts, entry))
            if len(waiting) > 2 * _READERS:
                yield waiting.pop(0).result()
        for future in waiting:
            yield future.result()


def _write(path: Path, rows: Iterator[NDArray[Any]], count: int, progress: Progress) -> None:
    values: np.memmap[Any, Any] | None = None
    for done, row in enumerate(rows):
        if values is None:
            shape = (row.shape[0], count, *row.shape[1:])
            needed, free = row.nbytes * count, shutil.disk_usage(path.parent).free
            if needed > free:
                raise UsageError(
                    f"Training needs {needed / 1e9:.1f} GB beside {path.parent.parent}, where {free / 1e9:.1f} GB are "
                    f"free: choose another --out, or make room."
                )
            values = np.lib.format.open_memmap(path, mode="w+", dtype=row.dtype, shape=shape)
            if hasattr(os, "posix_fallocate"):  # a disk that fills up later would kill the process that writes to a map
                with path.open("r+b") as file:
                    os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        values[:, done] = row
        progress(done + 1, count)
    if values is not None:
        values.flush()
