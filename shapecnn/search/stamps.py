"""Remember the size and the times of each mesh file that an index was made of, so that it need not be hashed again.

Like the index of git, an update compares what the file system says of a file before it reads the file. The stamps are
kept in the user's cache folder, because they hold for this machine only: without them, every file is hashed. A file
that was changed a moment before it was hashed gets no stamp, because a later change could have the same time.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shapecnn.meshes.collection import Shape
from shapecnn.storage.atomic import write_atomic
from shapecnn.storage.caches import cache_folder
from shapecnn.storage.reading import read_stored, sha256

SETTLED = 2_000_000_000  # ns after which a second change of a file has another time, on every common file system
_STAMP = np.dtype([("key", "<u8"), ("size", "<i8"), ("modified", "<i8"), ("changed", "<i8"), ("sha256", "V32")])
_MARK = b"shapecnn stamps 2\n"


class Stamp(NamedTuple):
    """What the file system says of a file.

    Attributes:
        size: Number of bytes.
        modified: Time of the last change of the content, in ns since 1970.
        changed: Time of the last change of the content, the name or the permissions, in ns since 1970. Programs that
            copy files can set the other time, but not this one.
    """

    size: int
    modified: int
    changed: int


class Stamps:
    """Stamps and hashes of the mesh files of an index, as they were when the files were hashed.

    Args:
        rows: Array of stamps, sorted by the key of their file.
    """

    def __init__(self, rows: NDArray[np.void]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        """Return the number of files that have a stamp."""
        return len(self._rows)

    @classmethod
    def read(cls, folder: Path, kept: Path | None = None) -> Stamps:
        """Read the stamps of the index in a folder; there are none if their file is missing or damaged.

        Args:
            folder: Folder of the index.
            kept: Folder of the stamps; None for the user's cache folder.
        """
        content = b""
        with contextlib.suppress(OSError):
            content = read_stored(_place(folder, kept))
        head, body = content[: len(_MARK) + 64], content[len(_MARK) + 64 :]
        if head != _MARK + sha256(body).encode() or len(body) % _STAMP.itemsize:
            body = b""
        return cls(np.frombuffer(body, _STAMP))

    def trusted(self, shapes: Iterable[Shape]) -> dict[str, str]:
        """Return the SHA-256 of each mesh file that is as it was when it was hashed, by shape id.

        Args:
            shapes: Shapes of the collection. Shapes without a file on disk are left out.
        """
        found = [(shape.id, _key(shape), stamp) for shape, stamp in _stamped(shapes)]
        if not found or not len(self._rows):
            return {}
        places = np.searchsorted(self._rows["key"], np.array([key for _, key, _ in found], np.uint64))
        rows = self._rows[np.minimum(places, len(self._rows) - 1)]
        stored = zip(rows["key"].tolist(), rows["size"].tolist(), rows["modified"].tolist(), rows["changed"].tolist(),
                     rows["sha256"], strict=True)  # fmt: skip
        return {
            shape_id: row[4].tobytes().hex()
            for (shape_id, key, stamp), row in zip(found, stored, strict=True)
            if row[:4] == (key, *stamp)
        }


def write_stamps(
    folder: Path, shapes: Iterable[Shape], hashes: Mapping[str, str], started: int, kept: Path | None = None
) -> None:
    """Keep the stamps of the mesh files of an index for the next update; a cache that cannot be written is no error.

    Args:
        folder: Folder of the index.
        shapes: Shapes of the collection whose features depend on one file alone.
        hashes: SHA-256 of each mesh file that was hashed, by shape id.
        started: Time before the first file was hashed, in ns since 1970. A file that has changed since this time, or
            shortly before, gets no stamp.
        kept: Folder of the stamps; None for the user's cache folder.
    """
    rows = [
        (_key(shape), *stamp, bytes.fromhex(hashes[shape.id]))
        for shape, stamp in _stamped(shape for shape in shapes if shape.id in hashes)
        if max(stamp.modified, stamp.changed) < started - SETTLED
    ]
    table = np.sort(np.array(rows, _STAMP), order="key")
    body = table.tobytes()
    with contextlib.suppress(OSError):
        write_atomic(_place(folder, kept), _MARK + sha256(body).encode() + body)


def now() -> int:
    """Return the current time in ns since 1970."""
    return time.time_ns()


def _place(folder: Path, kept: Path | None) -> Path:
    return (kept or cache_folder("stamps")) / sha256(os.fsencode(os.path.realpath(folder)))[:32]


def _key(shape: Shape) -> int:
    """Return a number that identifies the shape in the index: equal numbers of two shapes are as rare as equal hashes.

    The path of its file is not needed: a file at another path has another time of change.
    """
    return int.from_bytes(hashlib.blake2b(shape.id.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def _stamped(shapes: Iterable[Shape]) -> Iterator[tuple[Shape, Stamp]]:
    zips: dict[Path, Stamp] = {}
    for shape in shapes:
        stamp = zips.get(shape.file) if shape.member else None
        if stamp is None:
            try:
                status = os.stat(shape.file)
            except OSError:
                continue
            stamp = Stamp(status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            if shape.member:
                zips[shape.file] = stamp
        yield shape, stamp
