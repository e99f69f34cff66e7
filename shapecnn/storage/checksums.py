"""Write and parse ``SHA256SUMS``, the list of the file hashes of a folder in the format of ``sha256sum --check``.

The first line of ``SHA256SUMS`` is a comment with the hash of all other lines. The comment reveals damage to
``SHA256SUMS`` itself.
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
    """Format file hashes as the content of a ``SHA256SUMS`` file.

    Args:
        sums: Relative path of each file, mapped to the SHA-256 hash of the file (64 hexadecimal digits).

    Returns:
        The content of ``SHA256SUMS``: a comment, then a line for each file, sorted by path.
    """
    lines = "".join(sum_line(name, sums[name]) for name in sorted(sums)).encode()
    return _comment(lines) + lines


def parse_sums(content: bytes) -> dict[str, str]:
    """Parse the content of a ``SHA256SUMS`` file; refuse any content that :func:`sums_bytes` would not write.

    Args:
        content: The content of ``SHA256SUMS``.

    Returns:
        Relative path of each file, mapped to the SHA-256 hash of the file (64 hexadecimal digits).

    Raises:
        ValueError: The content differs from the format of :func:`sums_bytes`, or a path leads out of the folder.
    """
    first, end, below = content.partition(b"\n")
    if first + end != _comment(below):
        raise ValueError("the hash in the first line does not match the other lines")
    sums: dict[str, str] = {}
    for number, line in enumerate(below.decode().split("\n")[:-1], start=2):
        entry = _parse(line)
        if entry is None:
            raise ValueError(f"line {number} does not consist of a SHA-256 hash and a relative path inside this folder")
        name, digest = entry
        sums[name] = digest
    if sums_bytes(sums) != content:  # duplicates, wrong order, needless escapes
        raise ValueError(
            "a path is listed twice, is not in sorted order, or is escaped in another way than shapecnn does"
        )
    return sums


def parse_lines(content: bytes) -> list[tuple[str, str]]:
    """Parse lines that each hold the hash and the path of a file; skip incomplete and damaged lines.

    Args:
        content: Lines from :func:`sum_line`. The last line may be incomplete.

    Returns:
        A pair for each valid line, in order: relative path of the file, and its SHA-256 hash (64 hexadecimal digits).
    """
    entries = [_parse(line) for line in content.decode(errors="replace").split("\n")[:-1]]
    return [entry for entry in entries if entry is not None]


def _parse(line: str) -> tuple[str, str] | None:
    """Parse one line of ``SHA256SUMS`` into relative path and SHA-256 hash; return None for an invalid line."""
    match = _LINE.fullmatch(line)
    if match is None:
        return None
    escaped, digest, name = match.groups()
    if escaped:
        name = re.sub(r"\\.", lambda pair: _ESCAPED.get(pair[0], ""), name)
    return (name, digest) if _is_inside(name) else None


def _comment(lines: bytes) -> bytes:
    return f"# {hashlib.sha256(lines).hexdigest()} of the lines below\n".encode()


def sum_line(name: str, digest: str) -> str:
    """Format one line of ``SHA256SUMS``: the hash and the path of one file.

    Args:
        name: Relative path of the file.
        digest: SHA-256 hash of the file, 64 hexadecimal digits.

    Returns:
        The line with a final newline. Line ends and backslashes in the path are escaped as ``sha256sum`` escapes them.
    """
    escaped = "".join(_ESCAPES.get(letter, letter) for letter in name)
    return f"{'' if escaped == name else chr(92)}{digest}  {escaped}\n"


def _is_inside(name: str) -> bool:
    """Tell whether a path is relative and does not lead out of the folder by ``..``."""
    path = Path(name)
    return "\0" not in name and not path.is_absolute() and ".." not in path.parts
