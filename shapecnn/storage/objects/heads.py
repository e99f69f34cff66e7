"""Read and write the heads of published folders, and their tables of files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from shapecnn import __version__
from shapecnn.errors import StoredDataError
from shapecnn.storage.objects.store import list_objects, read_object
from shapecnn.storage.objects.url import Url
from shapecnn.storage.reading import json_bytes, parse_json, sha256

FOLDER = "shapecnn"
"""Name of the folder, below a prefix, that holds all objects that shapecnn writes there."""

HEADS, OBJECTS = f"{FOLDER}/heads", f"{FOLDER}/objects"

REPUBLISH = "Publish again with the command that made it and --overwrite."
"""What to do about a published folder that is damaged."""

_FORMAT = 1
_LARGEST_HEAD = 1 << 20  # bytes
LARGEST_TABLE = 1 << 30  # bytes; about 5 million files
_HEAD_NAME = re.compile(r"([0-9]{8})\.json")
_OBJECT_NAME = re.compile(r"[0-9]{8}/[0-9a-f]{64}(\.[a-z0-9]{1,16})?")
_HASH = re.compile(r"[0-9a-f]{64}")
_LARGEST_NUMBER = 2**63 - 1
_LONGEST_NAME = 255  # bytes of one part of a path, on the usual file systems


class DamagedError(StoredDataError):
    """What is published at a URL is damaged. A writer may replace it."""


@dataclass(frozen=True, slots=True)
class Location:
    """Where the content of a file lies.

    Attributes:
        size: Size of the file in bytes.
        sha256: SHA-256 (hex) of the file.
        object: Name of the object below ``shapecnn/objects``.
        offset: Position of the first byte in the object: above 0 in a tar shard.
    """

    size: int
    sha256: str
    object: str
    offset: int

    @property
    def in_shard(self) -> bool:
        """Whether the file lies in a tar shard."""
        return self.object.endswith(".tar")


Table = Mapping[str, Location]
"""Relative path of each file of a published folder, mapped to its location, in order of path."""


@dataclass(frozen=True, slots=True)
class Head:
    """One version of a published folder.

    Attributes:
        number: Number of the version, from 1.
        table: Where the table of files lies; it is an object of its own.
        files: Number of files.
        size: Sum of the sizes of the files, in bytes.
        writer: Random name of the writer.
        parent: SHA-256 of the table of the version that the writer began from; None if it began from nothing.
        version: Version of shapecnn that published it.
    """

    number: int
    table: Location
    files: int
    size: int
    writer: str
    parent: str | None
    version: str = __version__

    def content(self) -> bytes:
        """Return the content of the head."""
        where = [self.table.size, self.table.sha256, self.table.object]
        described = {"table": where, "files": self.files, "bytes": self.size, "writer": self.writer}
        described["parent"] = self.parent
        return json_bytes({"schema_version": _FORMAT, **described, "version": self.version})


def head_url(url: Url, number: int) -> Url:
    """Return the URL of the head of a version.

    Args:
        url: Prefix of the published folder.
        number: Number of the version.
    """
    return url / HEADS / f"{number:08}.json"


def latest_number(url: Url) -> int:
    """Return the number of the latest version below a prefix; 0 if nothing is published there.

    Args:
        url: Prefix of the published folder.

    Raises:
        ObjectStoreError: The store cannot be reached, or refuses.
    """
    return max(head_numbers(url), default=0)


def head_numbers(url: Url) -> list[int]:
    """Return the numbers of all versions whose head is there, in no particular order.

    Args:
        url: Prefix of the published folder.

    Raises:
        ObjectStoreError: The store cannot be reached, or refuses.
    """
    matches = (_HEAD_NAME.fullmatch(name) for name, _ in list_objects(url / HEADS))
    return [int(match[1]) for match in matches if match]


def read_head(url: Url, number: int) -> Head:
    """Read the head of a version.

    Args:
        url: Prefix of the published folder.
        number: Number of the version.

    Raises:
        FileNotFoundError: The version is gone.
        StoredDataError: The head is damaged, or of another version of shapecnn.
        ObjectStoreError: The store cannot be reached, or refuses.
    """
    place = head_url(url, number)
    stored = _json(place, _read(place, _LARGEST_HEAD))
    try:
        size, digest, name = stored["table"]
        table = _location(size, digest, name, 0)
        files, total = (int(stored[key]) for key in ("files", "bytes"))
        return Head(number, table, files, total, str(stored["writer"]), stored["parent"], stored["version"])
    except (KeyError, TypeError, ValueError, OverflowError):
        raise _damaged(place, "it is not a valid head") from None


def table_bytes(table: Table) -> bytes:
    """Return the content of a table of files: JSON with one line for each file.

    Args:
        table: Location of each file.
    """
    rows = (
        json.dumps([name, each.size, each.sha256, each.object, each.offset], ensure_ascii=False)
        for name, each in sorted(table.items())
    )
    return ('{"schema_version": %d, "files": [\n%s\n]}\n' % (_FORMAT, ",\n".join(rows))).encode()  # noqa: UP031


def read_table(url: Url, head: Head) -> Table:
    """Read the table of files of a version.

    Args:
        url: Prefix of the published folder.
        head: Head of the version.

    Raises:
        FileNotFoundError: The version is gone.
        StoredDataError: The table is damaged.
        ObjectStoreError: The store cannot be reached, or refuses.
    """
    place = url / OBJECTS / head.table.object
    content = _read(place, LARGEST_TABLE)
    if sha256(content) != head.table.sha256:
        raise _damaged(place, "its hash differs")
    rows = _json(place, content)
    try:
        table = {_inside(name): _location(*where) for name, *where in rows["files"]}
    except (KeyError, TypeError, ValueError):
        raise _damaged(place, "a path or a location in it is not valid") from None
    if not {parent for name in table for parent in _parents(name)}.isdisjoint(table):
        raise _damaged(place, "a file in it is also a folder")
    return table


def _read(place: Url, most: int) -> bytes:
    try:
        return read_object(place, most)
    except ValueError:
        raise _damaged(place, f"it is larger than {most / 1e6:,.0f} MB") from None


def _json(place: Url, content: bytes) -> dict[str, Any]:
    try:
        value = parse_json(content)
    except ValueError as error:
        raise _damaged(place, str(error)) from None
    if not isinstance(value, dict):
        raise _damaged(place, "it is not a JSON object")
    if value.get("schema_version") != _FORMAT:
        raise StoredDataError(f"{place} was made by another version of shapecnn. Use that version to read it.")
    return value


def _location(size: Any, digest: Any, name: Any, offset: Any) -> Location:
    numbers = all(type(number) is int and 0 <= number <= _LARGEST_NUMBER for number in (size, offset))
    if not numbers or not _HASH.fullmatch(digest) or not _OBJECT_NAME.fullmatch(name):
        raise ValueError("a location is not valid")
    return Location(size, digest, name, offset)


def _inside(name: Any) -> str:
    parts = name.split("/") if isinstance(name, str) else [""]
    if any(part in ("", ".", "..") or "\0" in part or len(part.encode()) > _LONGEST_NAME for part in parts):
        raise ValueError("not a path inside the folder")  # as are those that are not valid Unicode
    return str(name)


def _parents(name: str) -> Iterator[str]:
    while "/" in name:
        name = name.rpartition("/")[0]
        yield name


def _damaged(place: Url, why: str) -> DamagedError:
    return DamagedError(f"{place} is damaged ({why}). {REPUBLISH}")
