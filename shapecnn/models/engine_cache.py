"""Converted networks, kept on disk: in ``engines`` of the user's cache folder (``~/.cache/shapecnn`` on Linux).

One file holds a network behind its hash, so that nothing damaged, and no mixture of two conversions, is ever used. Its
name is the hash of all that enters the conversion, the code of the networks included: whoever edits that gets another
file. The folder holds ``LIMIT`` bytes at most; what was not used for the longest time leaves first. It may be removed
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

LIMIT = 2 << 30  # bytes of all files together; one has 15 to 100 MB

_NAME = re.compile(r"[0-9a-f]{32}")
_PACKAGES = ("openvino", "timm", "torch", "torchvision")


def key(*parts: str) -> str:
    """The name of a converted network.

    Args:
        parts: What tells the network, its weights and its input from every other one.

    Returns:
        32 hexadecimal digits, others for another version of a package that converts it or of the networks' code.
    """
    versions = [f"{package} {metadata.version(package)}" for package in _PACKAGES]
    return sha256("\n".join([*parts, *versions, _code()]).encode())[:32]


def load(name: str) -> tuple[bytes, bytes] | None:
    """Graph and weights of a converted network; None where it is not kept, or not as it was written."""
    path = folder() / name
    with contextlib.suppress(OSError):
        digest, _, content = read_stored(path).partition(b"\n")
        if digest == sha256(content).encode():
            os.utime(path)  # used now
            graph, _, weights = content.partition(b"\0")
            return graph, weights
    return None


def store(name: str, graph: bytes, weights: bytes) -> None:
    """Keep a converted network; a folder that cannot be written costs the next command time, and nothing else."""
    content = graph + b"\0" + weights  # the graph is XML, which knows no NUL
    with contextlib.suppress(OSError):
        write_atomic(folder() / name, sha256(content).encode() + b"\n" + content)
        _prune(name)


def folder() -> Path:
    """Where they are kept."""
    return cache_folder("engines")


def _prune(newest: str) -> None:
    """Remove what was used least lately, while all together are too large."""
    with os.scandir(folder()) as entries:
        kept = [(entry.stat().st_mtime, entry.stat().st_size, entry.path) for entry in entries if _is_ours(entry)]
    total = sum(size for _, size, _ in kept)
    for _, size, path in sorted(kept):
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
    """SHA-256 of what builds and converts networks."""
    here = Path(__file__).parent
    files = [*sorted((here.parent / "networks").glob("*.py")), here / "conversion.py"]
    return sha256(b"".join(file.read_bytes() for file in files))
