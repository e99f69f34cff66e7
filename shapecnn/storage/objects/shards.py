"""Pack many files into plain tar files, whose names are those of WebDataset: one sample has one name before the dot."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from shapecnn.storage.reading import sha256

SHARD_BYTES = 64 << 20  # size from which a shard is closed
_RECORD = 512  # bytes; the parts of a tar file begin at multiples of it


class Packed(NamedTuple):
    """One file of a shard.

    Attributes:
        path: Relative path of the file in its folder.
        size: Its size in bytes.
        sha256: SHA-256 (hex) of its content in the shard.
        offset: Position of its first byte in the shard.
    """

    path: str
    size: int
    sha256: str
    offset: int


def write_shards(folder: Path, files: Iterable[tuple[str, str]], shard: Path) -> Iterator[list[Packed]]:
    """Pack files into shards, one after the other: equal files give equal shards.

    Args:
        folder: Folder of the files.
        files: Relative path of each file, and its name in the shard.
        shard: Path at which each shard is written, in place of the one before.

    Yields:
        The files of the shard that is now at ``shard``.

    Raises:
        OSError: A file cannot be read, or a shard cannot be written.
    """
    waiting = iter(files)
    following = next(waiting, None)
    while following is not None:
        packed: list[Packed] = []
        with shard.open("wb") as out:
            while following is not None and out.tell() < SHARD_BYTES:
                path, name = following
                content = (folder / path).read_bytes()
                header = tarfile.TarInfo(name)
                header.size = len(content)
                out.write(header.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape"))
                packed.append(Packed(path, len(content), sha256(content), out.tell()))
                out.write(content + bytes(size_in_shard(len(content)) - _RECORD - len(content)))
                following = next(waiting, None)
            out.write(bytes(2 * _RECORD))
        yield packed


def size_in_shard(size: int) -> int:
    """Return how many bytes a file takes in a shard, its header included.

    Args:
        size: Size of the file in bytes.

    Example:
        >>> size_in_shard(0), size_in_shard(1), size_in_shard(512)
        (512, 1024, 1024)
    """
    return _RECORD + size + -size % _RECORD


def sample_name(stem: str, ending: str) -> str:
    """Return the name of a file in a shard: WebDataset takes what is before the first dot as the name of the sample.

    Args:
        stem: Path of the sample without an extension. A dot in its last part is written as ``%2E``.
        ending: What distinguishes the files of one sample, such as ``003.png``.

    Example:
        >>> sample_name("chair/train/a.v2", "003.png")
        'chair/train/a%2Ev2.003.png'
    """
    folder, slash, name = stem.rpartition("/")
    return f"{folder}{slash}{name.replace('%', '%25').replace('.', '%2E')}.{ending}"
