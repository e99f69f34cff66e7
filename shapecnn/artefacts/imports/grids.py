"""Convert occupancy grids made by other programs to artefacts, from an npz file or from binvox files.

The last axis of an imported grid must point up, because the grids of artefacts are indexed [x, y, z] with z up.
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

from shapecnn.artefacts.maker import ArtefactData
from shapecnn.errors import ItemError, UsageError, quoted, reason
from shapecnn.meshes.collection import Shape, list_shapes
from shapecnn.meshes.labels import SPLITS, Labels
from shapecnn.meshes.mesh import MAX_BYTES
from shapecnn.settings.views_and_grids import ImportedVoxelSettings
from shapecnn.storage.reading import sha256
from shapecnn.voxels import binvox

_SAMPLE = 100  # files that are read to determine the resolution


@dataclass(frozen=True, slots=True)
class PackedGrid:
    """One occupancy grid of an npz file, packed into bits, with its label and split.

    Attributes:
        id: Path of the shape in the artefact folder, with the extension ``.npz``.
        label: Class name.
        split: ``train``, ``val`` or ``test``; None if unknown.
        path: Path of the npz and number of the row, for error messages.
        bits: Cells of the grid, one bit each: ⌈R³/8⌉ bytes for R cells along each side. The cells [x, y, z] are in C
            order, with the first cell in the highest bit.
    """

    id: str
    label: str
    split: str | None
    path: str
    bits: bytes

    def read(self) -> bytes:
        """Return the packed cells of the grid. ``Shape`` also has a method ``read``, so GridMaker can read both."""
        return self.bits


@dataclass(frozen=True, slots=True)
class GridMaker:
    """Object that converts imported grids to binvox files.

    Implements :class:`shapecnn.artefacts.maker.Maker`.

    Attributes:
        settings: Resolution of the grids.
    """

    settings: ImportedVoxelSettings

    @property
    def measures(self) -> bool:
        """Whether area and volume are recorded: always False, because the sources are not meshes."""
        return False

    def to_json(self) -> dict[str, Any]:
        """Return the content of ``settings.json``: the resolution of the grids and the hash of the settings."""
        return {"schema_version": 1, **self.settings.to_json()}

    def open(self, item: PackedGrid | Shape) -> tuple[str, Callable[[], ArtefactData]]:
        """Read an imported grid from its file.

        Args:
            item: A grid of an npz, or a binvox file.

        Returns:
            SHA-256 (hex) of the packed grid or of the binvox file, and a function that makes the binvox file of the
            artefacts. The function may raise ItemError.

        Raises:
            ItemError: The file cannot be read.
        """
        data = item.read()
        return sha256(data), lambda: ArtefactData(self._binvox(item, data))

    def _binvox(self, item: PackedGrid | Shape, data: bytes) -> Iterator[bytes]:
        R = self.settings.resolution
        grid = unpack_grid(data, R) if isinstance(item, PackedGrid) else binvox.read(data)
        if grid.shape != (R, R, R):
            cells = " × ".join(map(str, grid.shape))
            raise ItemError("size", f"the grid has {cells} cells, but most grids have {R} × {R} × {R}")
        if not grid.any():
            raise ItemError("empty", "the grid is empty")
        yield binvox.write(grid)


def unpack_grid(bits: bytes, resolution: int) -> NDArray[np.bool_]:
    """Unpack a grid that is stored as one bit for each cell.

    Args:
        bits: ⌈R³/8⌉ bytes, packed by :func:`numpy.packbits`.
        resolution: R, the number of cells along each side.

    Returns:
        (R, R, R) bool; filled cells are True.
    """
    cells = np.unpackbits(np.frombuffer(bits, np.uint8), count=resolution**3)
    return cells.view(np.bool_).reshape(resolution, resolution, resolution)


def open_npz(source: Path) -> tuple[list[PackedGrid], GridMaker]:
    """Read the occupancy grids in an npz file.

    The file contains three arrays, for N grids of R³ cells in C classes: ``voxels`` uint8 (N, ⌈R³/8⌉), the packed
    cells; ``labels`` integer (N,), indices into ``classes``; and ``classes`` str (C,), the class names. The file name
    may end in the split, such as ``voxels-train.npz``.

    Args:
        source: Path of the npz file.

    Returns:
        The grids in order of id, and the object that converts them to binvox files. The id of row 7 is
        ``class/train/00007.npz``.

    Raises:
        UsageError: ``source`` is not an npz file with these arrays.
    """
    voxels, labels, classes = _arrays(source)
    resolution = round(math.cbrt(8 * voxels.shape[1]))
    suffix = re.search(rf"(?:^|[-_.])({'|'.join(SPLITS)})$", source.stem)
    split = suffix[1] if suffix else None
    items = []
    for row, label in enumerate(labels.tolist()):
        folder = "/".join(filter(None, (classes[label], split)))
        items.append(
            PackedGrid(f"{folder}/{row:05d}.npz", classes[label], split, f"{source}[{row}]", voxels[row].tobytes())
        )
    items.sort(key=lambda item: item.id)
    return items, GridMaker(ImportedVoxelSettings.from_options(resolution=resolution))


def open_binvox(source: Path, labels: Labels = "auto") -> tuple[list[Shape], GridMaker]:
    """List the binvox files of a collection.

    Args:
        source: A folder, a zip of a folder, or a CSV with the header ``path,label,split``.
        labels: Source of labels and splits; see :func:`shapecnn.meshes.collection.list_shapes`.

    Returns:
        The files in order of id, and the object that converts them to artefacts. The resolution of the artefacts is the
        most frequent resolution of the first 100 readable files.

    Raises:
        CollectionError: ``source`` cannot be listed or contains no binvox files.
        UsageError: None of the files can be read.
    """
    shapes = list_shapes(source, {".binvox"}, labels=labels)
    sides: Counter[int] = Counter()
    for shape in shapes:
        try:
            sides[binvox.read(shape.read()).shape[0]] += 1
        except ItemError:
            continue
        if sides.total() == _SAMPLE:
            break
    if not sides:
        raise UsageError(f"None of the .binvox files in {source} can be read: export them again.")
    return shapes, GridMaker(ImportedVoxelSettings(resolution=sides.most_common(1)[0][0]))


def _arrays(source: Path) -> tuple[NDArray[np.uint8], NDArray[np.integer[Any]], Sequence[str]]:
    """Read and check the arrays ``voxels``, ``labels`` and ``classes`` of an npz file, without unpickling objects."""
    if not source.is_file():
        raise UsageError(f"There is no file {source}.")
    try:
        with source.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            size = sum(member.file_size for member in file.zip.infolist())
            if size > MAX_BYTES:
                raise UsageError(
                    f"{source} would unpack to {size / 1e9:.1f} GB, too much: split the npz and import the parts."
                )
            voxels, labels, classes = (_array(file, name) for name in ("voxels", "labels", "classes"))
    except UsageError:
        raise
    except KeyError as error:
        raise UsageError(
            f"{source} lacks an array: {error.args[0]}. An npz needs voxels, labels and classes."
        ) from None
    except Exception as error:  # arbitrary zips fail in many ways; a .npy array is no context manager
        raise UsageError(f"{source} cannot be read as npz: {reason(error)}.") from None
    if voxels.dtype != np.uint8 or voxels.ndim != 2 or not voxels.size:
        raise _wrong_array(source, "voxels", voxels, "uint8 (N, ⌈R³/8⌉), the packed bits of N ≥ 1 grids of R³ cells")
    R = round(math.cbrt(8 * voxels.shape[1]))
    if voxels.shape[1] != (R**3 + 7) // 8:
        raise _wrong_array(source, "voxels", voxels, "an array with the packed bits of an R × R × R grid in each row")
    if not np.issubdtype(labels.dtype, np.integer) or labels.shape != voxels.shape[:1]:
        raise _wrong_array(source, "labels", labels, f"integers ({len(voxels)},), one for each grid")
    if classes.dtype.kind != "U" or classes.ndim != 1:
        raise _wrong_array(source, "classes", classes, "str (C,), one text for each class")
    names = classes.tolist()
    bad = [name for name in names if not re.fullmatch(r"[^./\\\0][^/\\\0]*", name)]
    if bad or len(set(names)) < len(names):
        names_text = quoted(str(bad or names))
        raise UsageError(
            f"{source}: the classes {names_text} cannot be folder names. Use unique names without slashes."
        )
    if labels.min() < 0 or labels.max() >= len(names):
        raise UsageError(
            f"{source}: labels range from {labels.min()} to {labels.max()}, but there are "
            f"{len(names)} classes. Number the classes from 0."
        )
    return voxels, labels, names


def _array(file: np.lib.npyio.NpzFile, name: str) -> NDArray[Any]:
    """Read one array of an npz file after checking its header: numpy would allocate any size that the header claims."""
    assert file.zip is not None  # the file is open
    with file.zip.open(f"{name}.npy") as stream:
        major, _ = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
        shape, _, kind = read(stream)
        size = math.prod(shape) * kind.itemsize
        if not kind.hasobject and size != file.zip.getinfo(f"{name}.npy").file_size - stream.tell():
            raise ValueError(f"{name} does not have the {size} bytes that its header states")
    return np.asarray(file[name])


def _wrong_array(source: Path, name: str, array: NDArray[Any], expected: str) -> UsageError:
    return UsageError(f"{source}: {name} is {str(array.dtype)[:40]} {array.shape}, not {expected}.")
