"""Cache of converted networks on disk: in ``engines`` of the user's cache folder (``~/.cache/shapecnn`` on Linux).

Each file holds one network, preceded by its hash, so that a damaged file or a mixture of two conversions is never used.
Its name is a hash of everything that decides the conversion; that includes the code of the networks, so a change of it
makes another file. The folder holds at most ``LIMIT`` bytes: the least recently used files are removed first. It can be
deleted at any time.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
from importlib import metadata
from pathlib import Path

from shapecnn.storage.atomic import write_atomic
from shapecnn.storage.caches import cache_folder
from shapecnn.storage.reading import read_stored, sha256

LIMIT = 2 << 30  # bytes of all files together; one file has 15 to 100 MB

_NAME = re.compile(r"[0-9a-f]{32}")
_PACKAGES = ("openvino", "timm", "torch", "torchvision")


def key(*parts: str) -> str:
    """Return the file name of a converted network.

    Args:
        parts: Texts that identify the network, its weights and the shape of its input.

    Returns:
        32 hexadecimal digits. They also depend on the versions of the packages that convert and on the networks' code.
    """
    versions = [f"{package} {metadata.version(package)}" for package in _PACKAGES]
    return sha256("\n".join([*parts, *versions, _code()]).encode())[:32]


def load(name: str) -> tuple[bytes, bytes] | None:
    """Read a converted network.

    Args:
        name: File name, from :func:`key`.

    Returns:
        Graph and weights; None if the file is missing, unreadable or damaged.
    """
    path = folder() / name
    with contextlib.suppress(OSError):
        digest, _, content = read_stored(path).partition(b"\n")
        if digest == sha256(content).encode():
            os.utime(path)  # marks it as recently used
            graph, _, weights = content.partition(b"\0")
            return graph, weights
    return None


def store(name: str, graph: bytes, weights: bytes) -> None:
    """Write a converted network to the cache; a folder that cannot be written is ignored, as the cache only saves time.

    Args:
        name: File name, from :func:`key`.
        graph: Graph (XML).
        weights: Weights.
    """
    content = graph + b"\0" + weights  # XML cannot contain NUL
    with contextlib.suppress(OSError):
        write_atomic(folder() / name, sha256(content).encode() + b"\n" + content)
        _prune(name)


def folder() -> Path:
    """Return the path of the cache folder."""
    return cache_folder("engines")


def _prune(newest: str) -> None:
    """Remove the least recently used files, but never the newest one, until the rest fits into ``LIMIT``."""
    with os.scandir(folder()) as entries:
        files = [(entry.stat().st_mtime, entry.stat().st_size, entry.path) for entry in entries if _is_ours(entry)]
    total = sum(size for _, size, _ in files)
    for _, size, path in sorted(files):
        if total <= LIMIT:
            break
        if Path(path).name != newest:
            with contextlib.suppress(FileNotFoundError):  # another process was faster
                os.unlink(path)
            total -= size


def _is_ours(entry: os.DirEntry[str]) -> bool:
    return _NAME.fullmatch(entry.name) is not None and entry.is_file(follow_symlinks=False)


@functools.cache
def _code() -> str:
    """Return the SHA-256 of the source files that build and convert networks."""
    here = Path(__file__).parent
    files = [*sorted((here.parent / "networks").glob("*.py")), here / "conversion.py"]
    return sha256(b"".join(file.read_bytes() for file in files))
