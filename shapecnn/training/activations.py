"""What enters the trained part of a network, computed once for all shapes and kept on disk.

Where everything is trained that is the pictures or grids themselves, decoded; where parts are frozen, what leaves
them, plain and, if they are to be flipped, mirrored. The file is mapped, not read: memory stays bounded.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shapecnn.artefacts import Entry
from shapecnn.datasets import Artefacts
from shapecnn.errors import UsageError
from shapecnn.inputs import Input, Looks
from shapecnn.training.augmentation import Change, apply_change

Encode = Callable[[Tensor], Tensor]
"""Looks (1, V, ...) uint8 → activations (1, V, ...), bfloat16 or float32."""

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
    progress: Callable[[int, int], None],
) -> Activations:
    """Those in ``path``, computed now unless they are there.

    encode: the frozen parts; None where there are none.  Raises UsageError if the disk is too full for them.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial.npy")
        partial.unlink(missing_ok=True)  # of an interrupted sitting: its room is needed
        _write(partial, _computed(artefacts, entries, seen, encode, flip), len(entries), progress)
        partial.replace(path)
    values = np.load(path, mmap_mode="r")
    return Activations(values, bfloat16=values.dtype == np.uint16)


def _computed(
    artefacts: Artefacts, entries: Sequence[Entry], seen: Input, encode: Encode | None, flip: bool
) -> Iterator[NDArray[Any]]:
    """(copies, V, ...) of each shape."""
    for looks in _decoded(artefacts, entries, seen):
        if encode is None:
            yield looks[None]
            continue
        copies = [looks, apply_change(looks, _FLIPPED)] if flip else [looks]
        rows = []
        for copy in copies:
            out = encode(torch.from_numpy(np.ascontiguousarray(copy))[None])[0].cpu().contiguous()
            rows.append(out.view(torch.uint16).numpy() if out.dtype == torch.bfloat16 else out.float().numpy())
        yield np.stack(rows)


def _decoded(artefacts: Artefacts, entries: Sequence[Entry], seen: Input) -> Iterator[Looks]:
    """What is seen of each shape, a few of them decoded ahead."""
    with ThreadPoolExecutor(_READERS) as readers:
        waiting = []
        for entry in entries:
            waiting.append(readers.submit(seen.read, artefacts, entry))
            if len(waiting) > 2 * _READERS:
                yield waiting.pop(0).result()
        for future in waiting:
            yield future.result()


def _write(path: Path, rows: Iterator[NDArray[Any]], count: int, progress: Callable[[int, int], None]) -> None:
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
        values[:, done] = row
        progress(done + 1, count)
    if values is not None:
        values.flush()
