"""The hashes of a folder's files, in one file that ``sha256sum --check`` reads too.

A bit that flips in any file is found by the hash of that file, one that flips in ``SHA256SUMS`` by the hash, in its
first line, a comment, of those below.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

SUMS = "SHA256SUMS"

_LINE = re.compile(r"(\\?)([0-9a-f]{64})  (.+)", re.DOTALL)
_ESCAPES = {"\\": r"\\", "\n": r"\n", "\r": r"\r"}
_ESCAPED = {escaped: plain for plain, escaped in _ESCAPES.items()}


def sums_bytes(sums: Mapping[str, str]) -> bytes:
    """Relative path → SHA-256 as the content of ``SHA256SUMS``, in order of path."""
    lines = "".join(sum_line(name, sums[name]) for name in sorted(sums)).encode()
    return _comment(lines) + lines


def parse_sums(content: bytes) -> dict[str, str]:
    """What :func:`sums_bytes` was given.  Raises ValueError for anything else, and for paths that lead out."""
    first, end, below = content.partition(b"\n")
    if first + end != _comment(below):
        raise ValueError("its own hash differs")
    sums: dict[str, str] = {}
    for number, line in enumerate(below.decode().split("\n")[:-1], start=2):
        found = _parse(line)
        if found is None:
            raise ValueError(f"line {number} is no hash of a file of this folder")
        name, digest = found
        sums[name] = digest
    if sums_bytes(sums) != content:  # twice the same, out of order, escaped without need
        raise ValueError("it is not as it is written")
    return sums


def parse_lines(content: bytes) -> list[tuple[str, str]]:
    """Name and SHA-256 of those lines of ``content`` that are whole and as :func:`sum_line` writes them."""
    found = [_parse(line) for line in content.decode(errors="replace").split("\n")[:-1]]
    return [each for each in found if each is not None]


def _parse(line: str) -> tuple[str, str] | None:
    """Name and SHA-256 that a line holds; None if it is no hash of a file of this folder."""
    found = _LINE.fullmatch(line)
    if found is None:
        return None
    escaped, digest, name = found.groups()
    if escaped:
        name = re.sub(r"\\.", lambda pair: _ESCAPED.get(pair[0], ""), name)
    return (name, digest) if _stays(name) else None


def _comment(lines: bytes) -> bytes:
    return f"# {hashlib.sha256(lines).hexdigest()} of the lines below\n".encode()


def sum_line(name: str, digest: str) -> str:
    """The line of a file in ``SHA256SUMS``."""
    escaped = "".join(_ESCAPES.get(letter, letter) for letter in name)
    return f"{'' if escaped == name else chr(92)}{digest}  {escaped}\n"


def _stays(name: str) -> bool:
    path = Path(name)
    return "\0" not in name and not path.is_absolute() and ".." not in path.parts
