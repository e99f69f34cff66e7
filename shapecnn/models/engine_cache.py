"""Disk cache of networks converted to OpenVINO, in the folder ``engines`` of the user's cache folder.

On Linux this is ``~/.cache/shapecnn/engines``. Each file contains one network, preceded by its hash, so damaged files
are detected. The file name is a hash of everything that affects the conversion, including the source code of the
networks. If the files exceed ``LIMIT`` bytes, the least recently used files are removed. The folder can be deleted
at any time.
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

LIMIT = 2 << 30  # largest size of all files together, in bytes; one file has 15 to 1,200 MB

_NAME = re.compile(r"[0-9a-f]{32}")
_PACKAGES = ("openvino", "timm", "torch", "torchvision")


def key(*parts: str) -> str:
    """Return the file name of a converted network in the cache.

    Args:
        parts: Texts that identify the network, its weights and the shape of its input.

    Returns:
        32 hexadecimal digits of a hash, which also covers package versions and the source code of the networks.
    """
    versions = [f"{package} {metadata.version(package)}" for package in _PACKAGES]
    return sha256("\n".join([*parts, *versions, _code()]).encode())[:32]


def load(name: str) -> tuple[bytes, bytes] | None:
    """Read a converted network from the cache.

    Args:
        name: File name, from :func:`key`.

    Returns:
        Graph (XML) and weights; None if the file is missing, unreadable or damaged.
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
    """Write a converted network to the cache; do nothing if the cache folder is not writable.

    Args:
        name: File name, from :func:`key`.
        graph: Graph (XML), as :func:`shapecnn.models.conversion.convert` returns it.
        weights: Weights, as :func:`shapecnn.models.conversion.convert` returns them.
    """
    content = graph + b"\0" + weights  # XML cannot contain NUL
    with contextlib.suppress(OSError):
        write_atomic(folder() / name, sha256(content).encode() + b"\n" + content)
        _prune(name)


def folder() -> Path:
    """Return the path of the cache folder with the converted networks."""
    return cache_folder("engines")


def _prune(newest: str) -> None:
    """Remove the least recently used networks until the cache has at most 2 GiB (``LIMIT``); keep file ``newest``."""
    with os.scandir(folder()) as entries:
        files = [(entry.stat().st_mtime, entry.stat().st_size, entry.path) for entry in entries if _is_ours(entry)]
    total = sum(size for _, size, _ in files)
    for _, size, path in sorted(files):
        if total <= LIMIT:
            break
        if Path(path).name != newest:
            with contextlib.suppress(FileNotFoundError):  # another process has removed it
                os.unlink(path)
            total -= size


def _is_ours(entry: os.DirEntry[str]) -> bool:
    return _NAME.fullmatch(entry.name) is not None and entry.is_file(follow_symlinks=False)


@functools.cache
def _code() -> str:
    """Return a hash (SHA-256) of the source files that build and convert networks."""
    here = Path(__file__).parent
    files = [*sorted((here.parent / "networks").glob("*.py")), here / "conversion.py"]
    return sha256(b"".join(file.read_bytes() for file in files))
