"""Remember the size and the times of each mesh file that an index was made of, so that it need not be hashed again.

Like the index of git, an update compares what the file system says of a file before it reads the file; of an object, it
compares the entity tag. The stamps are kept in the user's cache folder, because they hold for this machine only:
without them, every file is hashed. A stamp is taken before the file is hashed, so that a later change gives another
one. A file that was changed a moment before gets none, because a later change could have the same time.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import posixpath
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shapecnn.errors import ObjectStoreError
from shapecnn.meshes.collection import Shape
from shapecnn.storage.atomic import write_atomic
from shapecnn.storage.caches import cache_folder
from shapecnn.storage.objects.store import list_contents
from shapecnn.storage.objects.url import Url
from shapecnn.storage.reading import read_stored, sha256

SETTLED = 2_000_000_000  # ns after which a second change of a file has another time, on every common file system
_STAMP = np.dtype(
    [("key", "<u8"), ("number", "<u8"), ("size", "<i8"), ("modified", "<i8"), ("changed", "<i8"), ("sha256", "V32")]
)
_MARK = b"shapecnn stamps 3\n"


class Stamp(NamedTuple):
    """What the file system says of a file, or an object store of an object.

    Attributes:
        number: Number of the file in its file system (inode): files that were written one after the other may have
            equal sizes and times. Of an object, a hash of its entity tag.
        size: Number of bytes.
        modified: Time of the last change of the content, in ns since 1970.
        changed: Time of the last change of the content, the name or the permissions, in ns since 1970. Programs that
            copy files can set the other time, but not this one. Of an object, the same time again.
    """

    number: int
    size: int
    modified: int
    changed: int


def take_stamps(shapes: Iterable[Shape]) -> dict[str, Stamp]:
    """Return the stamp of the mesh file of each shape, by shape id; that of a file inside a zip is that of the zip.

    Shapes without a file are left out, and those whose file was changed a moment ago. Objects are listed, not asked for
    one by one.

    Args:
        shapes: Shapes of a collection.
    """
    settled, stamps, zips = time.time_ns() - SETTLED, dict[str, Stamp](), dict[Path, Stamp]()
    objects: dict[Url, str] = {}
    for shape in shapes:
        place = shape.file
        if isinstance(place, Url):
            if place.local is None:
                objects[place] = shape.id
                continue
            place = place.local
        stamp = zips.get(shape.file) if shape.member else None
        if stamp is None:
            try:
                status = os.stat(place)
            except OSError:
                continue
            stamp = Stamp(status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            if shape.member:
                zips[shape.file] = stamp
        if max(stamp.modified, stamp.changed) < settled:
            stamps[shape.id] = stamp
    return stamps | _listed(objects, settled)


def _listed(objects: Mapping[Url, str], settled: int) -> dict[str, Stamp]:
    """Return the stamps of the shapes in an object store; ``objects`` are their URLs and ids."""
    if not objects:
        return {}
    ids, stamps = {url.key: shape_id for url, shape_id in objects.items()}, dict[str, Stamp]()
    prefix = posixpath.commonpath([f"/{key.rpartition('/')[0]}" for key in ids])[1:]
    folder = Url(*next(iter(objects)).parts[:2], prefix)  # one collection is in one bucket
    with contextlib.suppress(ObjectStoreError):  # without stamps, all meshes are fetched
        for name, size, tag, modified in list_contents(folder):
            shape_id = ids.get(posixpath.join(prefix, name))
            if shape_id is not None and tag is not None and modified < settled:
                stamps[shape_id] = Stamp(_number(tag), size, modified, modified)
    return stamps


class Stamps:
    """Stamps and hashes of the mesh files of an index, as they were when the files were hashed.

    Args:
        rows: Array of stamps, sorted by the key of their shape.
    """

    def __init__(self, rows: NDArray[np.void]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        """Return the number of shapes that have a stamp."""
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

    def trusted(self, taken: Mapping[str, Stamp]) -> dict[str, str]:
        """Return the SHA-256 of each mesh file that is as it was when it was hashed, by shape id.

        Args:
            taken: Stamps of the files now, from :func:`take_stamps`.
        """
        if not taken or not len(self._rows):
            return {}
        keys = [_number(shape_id) for shape_id in taken]
        places = np.searchsorted(self._rows["key"], np.array(keys, np.uint64))
        rows = self._rows[np.minimum(places, len(self._rows) - 1)]
        stored = zip(*(rows[name].tolist() for name in ("key", *Stamp._fields)), strict=True)
        return {
            shape_id: digest.tobytes().hex()
            for (shape_id, stamp), key, row, digest in zip(taken.items(), keys, stored, rows["sha256"], strict=True)
            if row == (key, *stamp)
        }


def write_stamps(folder: Path, taken: Mapping[str, Stamp], hashes: Mapping[str, str], kept: Path | None = None) -> None:
    """Keep the stamps of the mesh files of an index for the next update; a cache that cannot be written is no error.

    Args:
        folder: Folder of the index.
        taken: Stamps of the files, taken before the files were hashed: a file that changed later has another stamp.
        hashes: SHA-256 of each mesh file whose features depend on this file alone, by shape id.
        kept: Folder of the stamps; None for the user's cache folder.
    """
    rows = [(_number(name), *stamp, bytes.fromhex(hashes[name])) for name, stamp in taken.items() if name in hashes]
    body = np.sort(np.array(rows, _STAMP), order="key").tobytes()
    with contextlib.suppress(OSError):
        write_atomic(_place(folder, kept), _MARK + sha256(body).encode() + body)


def _place(folder: Path, kept: Path | None) -> Path:
    return (kept or cache_folder("stamps")) / sha256(os.fsencode(os.path.realpath(folder)))[:32]


def _number(text: str) -> int:
    """Return the number that stands for a text: a shape id, whose stamp would not match another file, or a tag."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")
