"""Folders whose files are read against the hashes published with them, and how more is published beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from mmap import mmap
from pathlib import Path
from typing import Any, TypeVar

from shapecnn.errors import StoredDataError, UsageError, visible
from shapecnn.storage.checksums import SUMS, parse_sums
from shapecnn.storage.publishing import publish, published
from shapecnn.storage.reading import map_stored, parse_json, read_stored, sha256, sha256_of

Content = TypeVar("Content")

LARGEST_JSON = 16 << 20  # bytes; a description has some thousand


@dataclass(frozen=True, slots=True)
class Sealed:
    """sums: SHA-256 of each file by its relative path; no other file is read.  remedy: the sentence that ends what is
    told of a damaged one.
    """

    folder: Path
    sums: Mapping[str, str]
    remedy: str

    def read(self, name: str) -> bytes:
        """The content of a file, hashed before it is given away.  Raises StoredDataError."""
        return self._hashed(name, read_stored, sha256)

    def map(self, name: str) -> bytes | mmap:
        """As :meth:`read`, of a file of any size, which is not held in memory."""
        return self._hashed(name, map_stored, sha256)

    def check(self, name: str) -> None:
        """As :meth:`read`, of a file of any size."""
        self._hashed(name, lambda path: path, sha256_of)

    def json(self, name: str, version: int | None = None) -> dict[str, Any]:
        """The JSON object in a file; StoredDataError also for another ``schema_version``."""
        content = self.map(name)
        with self.expecting(name):
            if len(content) > LARGEST_JSON:
                raise ValueError(f"it has more than {LARGEST_JSON / 1e6:.0f} MB")
            value = parse_json(content[:])
            if not isinstance(value, dict):
                raise ValueError("it is no JSON object")
        if version is not None and value.pop("schema_version", None) != version:
            raise StoredDataError(
                f"{told(self.folder / name)} was made by another version of shapecnn. Use that version for it, or make "
                f"it again with this one."
            )
        return value

    @contextmanager
    def expecting(self, name: str) -> Iterator[None]:
        """What does not hold of a file that is as it was written, raised as ValueError or UsageError, told of it."""
        try:
            yield
        except (ValueError, UsageError) as error:
            raise self.unfit(name, str(error)) from None

    def unfit(self, name: str, reason: str) -> StoredDataError:
        """The complaint about a file that is as it was written and yet does not hold what it should."""
        first = visible((reason.splitlines() or ["it is damaged"])[0].rstrip("."))
        first = first if len(first) <= 200 else f"{first[:199]}…"  # it may quote the file
        return StoredDataError(f"{told(self.folder / name)} does not hold what it should ({first}). {self.remedy}")

    def _hashed(self, name: str, read: Callable[[Path], Content], digest: Callable[[Content], str]) -> Content:
        """What is read of a file, whose digest is the one that was written.  Raises StoredDataError."""
        if name not in self.sums:
            raise StoredDataError(f"{self.folder / SUMS} has no hash of {told(name)}. {self.remedy}")
        path = told(self.folder / name)
        try:
            content = read(published(self.folder, name))
            found = digest(content)
        except OSError as error:
            raise StoredDataError(f"{path} cannot be read ({error.strerror or error}). {self.remedy}") from None
        if found != self.sums[name]:
            raise StoredDataError(f"{path} is not what was written there (its hash differs). {self.remedy}")
        return content


def told(path: Path | str) -> str:
    """A path as a message may hold it: on one line."""
    return str(path) if str(path).isprintable() else repr(str(path))


def open_sealed(folder: Path, remedy: str) -> Sealed:
    """The files published in ``folder``.  Raises StoredDataError if their hashes are missing or damaged."""
    try:
        return Sealed(folder, parse_sums(read_stored(published(folder, SUMS))), remedy)
    except FileNotFoundError:
        raise StoredDataError(f"{folder} lacks {SUMS}, or was made by an earlier version. {remedy}") from None
    except OSError as error:
        raise StoredDataError(f"{folder / SUMS} cannot be read ({error.strerror or error}). {remedy}") from None
    except ValueError as error:
        raise StoredDataError(f"{folder / SUMS} is damaged ({error}). {remedy}") from None


def publish_beside(
    folder: Path, files: Mapping[str, bytes], remedy: str, made: Mapping[str, str] | None = None
) -> None:
    """Publish ``files`` in a folder whose other files stay as they are, with the hashes of what was ``made`` there
    already.  Raises StoredDataError as :func:`open_sealed` does.
    """
    known = open_sealed(folder, remedy).sums if published(folder, SUMS).exists() else {}
    publish(folder, files, {**known, **(made or {})})
