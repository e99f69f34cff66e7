"""``SHA256SUMS``: the hashes of a folder's files, in the format of ``sha256sum --check``.

The first line is a comment with the hash of the lines below, by which damage to ``SHA256SUMS`` itself is found.
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
    """Write hashes as the content of ``SHA256SUMS``.

    Args:
        sums: SHA-256, 64 hexadecimal digits, by relative path.

    Returns:
        The content: a comment, then a line for each file, sorted by path.
    """
    lines = "".join(sum_line(name, sums[name]) for name in sorted(sums)).encode()
    return _comment(lines) + lines


def parse_sums(content: bytes) -> dict[str, str]:
    """Parse the content of ``SHA256SUMS``.

    Args:
        content: What :func:`sums_bytes` wrote.

    Returns:
        SHA-256 by relative path.

    Raises:
        ValueError: The content is not as :func:`sums_bytes` writes it, or a path leads out of the folder.
    """
    first, end, below = content.partition(b"\n")
    if first + end != _comment(below):
        raise ValueError("its own hash differs")
    sums: dict[str, str] = {}
    for number, line in enumerate(below.decode().split("\n")[:-1], start=2):
        entry = _parse(line)
        if entry is None:
            raise ValueError(f"line {number} is not the hash of a file in this folder")
        name, digest = entry
        sums[name] = digest
    if sums_bytes(sums) != content:  # duplicates, wrong order, needless escapes
        raise ValueError("it is not in the form that shapecnn writes")
    return sums


def parse_lines(content: bytes) -> list[tuple[str, str]]:
    """Parse lines of hashes and skip those that are incomplete or damaged.

    Args:
        content: Lines from :func:`sum_line`, the last perhaps cut short.

    Returns:
        Relative path and SHA-256 of each valid line, in order.
    """
    entries = [_parse(line) for line in content.decode(errors="replace").split("\n")[:-1]]
    return [entry for entry in entries if entry is not None]


def _parse(line: str) -> tuple[str, str] | None:
    """Parse a line into relative path and SHA-256; None if it is not the hash of a file in this folder."""
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
    """Format the line of a file in ``SHA256SUMS``.

    Args:
        name: Relative path of the file.
        digest: Its SHA-256, 64 hexadecimal digits.

    Returns:
        The line with its newline; line ends and backslashes in the path are escaped, as ``sha256sum`` does.
    """
    escaped = "".join(_ESCAPES.get(letter, letter) for letter in name)
    return f"{'' if escaped == name else chr(92)}{digest}  {escaped}\n"


def _is_inside(name: str) -> bool:
    """Tell whether a path is relative and stays in its folder."""
    path = Path(name)
    return "\0" not in name and not path.is_absolute() and ".." not in path.parts
