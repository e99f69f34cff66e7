"""Occupancy grids that others made of shapes: packed in one npz, or as binvox files.

Grids are [x, y, z] with z up in the artefacts, so the last axis of what is imported has to be up.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapecnn.artefacts.writing import Drawn
from shapecnn.errors import ItemError, UsageError, quoted, reason
from shapecnn.meshes.collection import Shape, list_shapes
from shapecnn.meshes.labels import SPLITS, Labels
from shapecnn.meshes.mesh import MAX_BYTES
from shapecnn.settings.artefacts import ImportedVoxelSettings
from shapecnn.storage.reading import sha256
from shapecnn.voxels import binvox

_SURVEYED = 100  # files that are looked at to learn the resolution


@dataclass(frozen=True, slots=True)
class Packed:
    """One grid of an npz: its cells as bits, [x, y, z] in C order, the first in the highest bit."""

    id: str
    label: str
    split: str | None
    path: str
    bits: bytes

    def read(self) -> bytes:
        """The bits."""
        return self.bits


@dataclass(frozen=True, slots=True)
class Grids:
    """Grids become binvox files; see :class:`shapecnn.artefacts.writing.Maker`."""

    settings: ImportedVoxelSettings

    def to_json(self) -> dict[str, Any]:
        """The content of ``settings.json``."""
        return {"schema_version": 1, **self.settings.to_json()}

    def open(self, item: Packed | Shape) -> tuple[str, Callable[[], Drawn]]:
        """SHA-256 of the bits or of the binvox file, and what makes the binvox file.  Raises ItemError."""
        data = item.read()
        return sha256(data), lambda: Drawn(self._binvox(item, data))

    def _binvox(self, item: Packed | Shape, data: bytes) -> Iterator[bytes]:
        R = self.settings.resolution
        grid = unpacked(data, R) if isinstance(item, Packed) else binvox.read(data)
        if grid.shape != (R, R, R):
            found = " × ".join(map(str, grid.shape))
            raise ItemError("size", f"it has {found} cells where most grids have {R} × {R} × {R}")
        if not grid.any():
            raise ItemError("empty", "the grid is empty")
        yield binvox.write(grid)


def unpacked(bits: bytes, resolution: int) -> NDArray[np.bool_]:
    """The grid (R, R, R) of ⌈R³/8⌉ bytes, as :func:`numpy.packbits` packs it."""
    cells = np.unpackbits(np.frombuffer(bits, np.uint8), count=resolution**3)
    return cells.view(np.bool_).reshape(resolution, resolution, resolution)


def open_npz(source: Path) -> tuple[list[Packed], Grids]:
    """The grids of an npz with ``voxels`` uint8 (N, ⌈R³/8⌉), ``labels`` integer (N,) and ``classes`` str (C,).

    The split is what the name of the file ends in (``…-train.npz``), else null; the id of row 7 is
    ``class/train/00007.npz``. Raises UsageError if it is no such file.
    """
    voxels, labels, classes = _arrays(source)
    resolution = round(math.cbrt(8 * voxels.shape[1]))
    named = re.search(rf"(?:^|[-_.])({'|'.join(SPLITS)})$", source.stem)
    split = named[1] if named else None
    items = []
    for row, label in enumerate(labels.tolist()):
        folder = "/".join(filter(None, (classes[label], split)))
        items.append(
            Packed(f"{folder}/{row:05d}.npz", classes[label], split, f"{source}[{row}]", voxels[row].tobytes())
        )
    items.sort(key=lambda item: item.id)
    return items, Grids(ImportedVoxelSettings.from_options(resolution=resolution))


def open_binvox(source: Path, labels: Labels = "auto") -> tuple[list[Shape], Grids]:
    """The binvox files of a collection: a folder, a zip of one, or a CSV with the header ``path,label,split``.

    The resolution is that of most among the first that can be read. Raises CollectionError, and UsageError if none can.
    """
    shapes = list_shapes(source, {".binvox"}, labels=labels)
    sides: Counter[int] = Counter()
    for shape in shapes:
        try:
            sides[binvox.read(shape.read()).shape[0]] += 1
        except ItemError:
            continue
        if sides.total() == _SURVEYED:
            break
    if not sides:
        raise UsageError(f"None of the files of {source} can be read as binvox.")
    return shapes, Grids(ImportedVoxelSettings(resolution=sides.most_common(1)[0][0]))


def _arrays(source: Path) -> tuple[NDArray[np.uint8], NDArray[np.integer[Any]], Sequence[str]]:
    """``voxels``, ``labels`` and ``classes``, checked against each other.  Nothing in the file is unpickled."""
    if not source.is_file():
        raise UsageError(f"There is no file {source}.")
    try:
        with source.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            size = sum(member.file_size for member in file.zip.infolist())
            if size > MAX_BYTES:
                raise UsageError(f"{source} would unpack to {size / 1e9:.1f} GB: import it in parts.")
            voxels, labels, classes = (_array(file, name) for name in ("voxels", "labels", "classes"))
    except UsageError:
        raise
    except KeyError as error:
        raise UsageError(f"{source} lacks an array: {error.args[0]} It needs voxels, labels and classes.") from None
    except Exception as error:  # a zip of anything finds many ways to fail; a lone .npy array is no context manager
        raise UsageError(f"{source} cannot be read as npz: {reason(error)}.") from None
    if voxels.dtype != np.uint8 or voxels.ndim != 2 or not voxels.size:
        raise _unlike(source, "voxels", voxels, "uint8 (N, ⌈R³/8⌉), N ≥ 1")
    R = round(math.cbrt(8 * voxels.shape[1]))
    if voxels.shape[1] != (R**3 + 7) // 8:
        raise _unlike(source, "voxels", voxels, "the bits of R³ cells in each row")
    if not np.issubdtype(labels.dtype, np.integer) or labels.shape != voxels.shape[:1]:
        raise _unlike(source, "labels", labels, f"integers ({len(voxels)},)")
    if classes.dtype.kind != "U" or classes.ndim != 1:
        raise _unlike(source, "classes", classes, "str (C,)")
    names = classes.tolist()
    bad = [name for name in names if not re.fullmatch(r"[^./\\\0][^/\\\0]*", name)]
    if bad or len(set(names)) < len(names):
        raise UsageError(f"{source}: classes {quoted(str(bad or names))} cannot name folders, each its own.")
    if labels.min() < 0 or labels.max() >= len(names):
        raise UsageError(f"{source}: labels go from {labels.min()} to {labels.max()}, for {len(names)} classes.")
    return voxels, labels, names


def _array(file: np.lib.npyio.NpzFile, name: str) -> NDArray[Any]:
    """One array, once its header is known to promise what is there: numpy would take the memory first."""
    assert file.zip is not None  # it is open
    with file.zip.open(f"{name}.npy") as stream:
        major, _ = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
        shape, _, kind = read(stream)
        promised = math.prod(shape) * kind.itemsize
        if not kind.hasobject and promised != file.zip.getinfo(f"{name}.npy").file_size - stream.tell():
            raise ValueError(f"{name} does not have the {promised} bytes that its header promises")
    return np.asarray(file[name])


def _unlike(source: Path, name: str, array: NDArray[Any], expected: str) -> UsageError:
    return UsageError(f"{source}: {name} is {str(array.dtype)[:40]} {array.shape}, not {expected}.")
