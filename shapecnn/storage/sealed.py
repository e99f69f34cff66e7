"""Read files from an output folder only after checking them against the hashes in its ``SHA256SUMS``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from mmap import mmap
from pathlib import Path
from typing import Any, TypeVar

from shapecnn.errors import StoredDataError, UsageError, visible
from shapecnn.storage.checksums import SUMS, parse_sums
from shapecnn.storage.objects.snapshot import Snapshot, latest
from shapecnn.storage.objects.url import Url
from shapecnn.storage.publishing import publish, published
from shapecnn.storage.reading import (
    TOO_MANY_OPEN,
    map_stored,
    parse_json,
    read_stored,
    sha256,
    sha256_of,
    sha256_of_map,
)

Content = TypeVar("Content")

LARGEST_JSON = 16 << 20  # largest size of a JSON file in bytes; the JSON file of a run has a few thousand bytes


@dataclass(frozen=True, slots=True)
class Sealed:
    """Output folder whose files are checked against their SHA-256 hashes whenever they are read.

    Attributes:
        folder: Path of the folder.
        sums: Relative path of each readable file, mapped to its SHA-256 hash (hex).
        remedy: Sentence that ends each error message about a damaged file and tells the user what to do.
        snapshot: The version of the folder from which files are read, if ``folder`` is a URL.
    """

    folder: Path
    sums: Mapping[str, str]
    remedy: str
    snapshot: Snapshot | None = None

    def read(self, name: str) -> bytes:
        """Read a file of the folder into memory and check its hash.

        Args:
            name: Path of the file relative to the folder.

        Returns:
            The content of the file.

        Raises:
            StoredDataError: ``SHA256SUMS`` does not list the file, the file cannot be read, or its hash differs.
        """
        return self._checked(name, read_stored, sha256)

    def map(self, name: str) -> bytes | mmap:
        """Memory-map a file of the folder, of any size, and check its hash.

        Args:
            name: Path of the file relative to the folder.

        Returns:
            The mapped content, read-only; see :func:`shapecnn.storage.reading.map_stored`.

        Raises:
            StoredDataError: ``SHA256SUMS`` does not list the file, the file cannot be read, or its hash differs.
        """
        return self._checked(name, map_stored, sha256_of_map)

    def check(self, name: str) -> None:
        """Raise StoredDataError unless a file of the folder, of any size, matches its hash.

        Args:
            name: Path of the file relative to the folder.

        Raises:
            StoredDataError: ``SHA256SUMS`` does not list the file, the file cannot be read, or its hash differs.
        """
        self._checked(name, lambda path: path, sha256_of)

    def json(self, name: str, version: int | None = None) -> dict[str, Any]:
        """Read a JSON object from a file of the folder and check the hash of the file.

        Args:
            name: Path of the file relative to the folder.
            version: Required value of the key ``schema_version``; None if any object is valid.

        Returns:
            The object. If ``version`` is passed, the key ``schema_version`` is removed.

        Raises:
            StoredDataError: ``SHA256SUMS`` does not list the file, the file cannot be read, or its hash differs; or the
                file is not a JSON object of at most 16 MiB with the required version.
        """
        content = self.map(name)
        with self.validating(name):
            if len(content) > LARGEST_JSON:
                raise ValueError(f"the file is larger than the limit of {LARGEST_JSON / 1e6:.0f} MB")
            value = parse_json(content[:])
            if not isinstance(value, dict):
                raise ValueError("the file is not a JSON object")
        if version is not None and value.pop("schema_version", None) != version:
            raise StoredDataError(
                f"{printable(self.folder / name)} was made by another version of shapecnn. Use that version to read "
                f"the file, or make the file again with this version."
            )
        return value

    def size(self, name: str) -> int:
        """Return the size of a file in bytes, without reading it; 0 if it is missing.

        Args:
            name: Path of the file relative to the folder.
        """
        if self.snapshot is not None:
            return self.snapshot.table[name].size if name in self.snapshot.table else 0
        try:
            return published(self.folder, name).stat().st_size
        except OSError:
            return 0

    @contextmanager
    def validating(self, name: str) -> Iterator[None]:
        """Convert a ValueError or UsageError raised in this context into a StoredDataError that names the file.

        Args:
            name: Path of the validated file relative to the folder. The hash of the file has been checked before.

        Yields:
            None; the code in the context validates the content of the file.

        Raises:
            StoredDataError: The code in the context raised a ValueError or a UsageError.
        """
        try:
            yield
        except (ValueError, UsageError) as error:
            raise self.invalid(name, str(error)) from None

    def invalid(self, name: str, reason: str) -> StoredDataError:
        """Create the error for a file whose hash is correct but whose content is invalid.

        Args:
            name: Path of the file relative to the folder.
            reason: Description of the problem. Only the first 200 characters of the first line are used.

        Returns:
            The error. The caller raises it.
        """
        line = visible((reason.splitlines() or ["it is damaged"])[0].rstrip("."))
        line = line if len(line) <= 200 else f"{line[:199]}…"  # the reason may quote the content of the file
        return StoredDataError(f"{printable(self.folder / name)} has invalid content ({line}). {self.remedy}")

    def _checked(self, name: str, read: Callable[[Path], Content], digest: Callable[[Content], str]) -> Content:
        """Read a file and return its content; raise StoredDataError if the file is unreadable or its hash differs."""
        if name not in self.sums:
            raise StoredDataError(f"{self.folder / SUMS} has no hash of {printable(name)}. {self.remedy}")
        try:
            try:
                content = read(self._path(name))
            except FileNotFoundError:  # another process made room in the cache at this moment
                content = read(self._path(name))
            actual = digest(content)
            if actual != self.sums[name] and self.snapshot is not None:
                self.snapshot.forget(name)  # the copy in the cache was damaged: fetch it anew
                content = read(self._path(name))
                actual = digest(content)
        except OSError as error:
            if error.errno in TOO_MANY_OPEN:
                raise
            where = printable(self.folder / name)
            raise StoredDataError(f"{where} cannot be read ({error.strerror or error}). {self.remedy}") from None
        if actual != self.sums[name]:
            where = printable(self.folder / name)
            raise StoredDataError(f"{where} has changed since it was written (its hash differs). {self.remedy}")
        return content

    def _path(self, name: str) -> Path:
        return published(self.folder, name) if self.snapshot is None else self.snapshot.path(name)


def printable(path: Path | str) -> str:
    """Format a path for an error message, on one line and with control characters escaped.

    Args:
        path: Any path.

    Returns:
        The path itself if all its characters are printable, otherwise the path in quotes with escapes.
    """
    return str(path) if str(path).isprintable() else repr(str(path))


def open_sealed(folder: Path, remedy: str) -> Sealed:
    """Open an output folder by reading its ``SHA256SUMS``, so that each file is checked when it is read.

    Args:
        folder: An output folder that shapecnn wrote, or the URL of one.
        remedy: Sentence that ends each error message about a damaged file and tells the user what to do.

    Returns:
        The sealed folder. Only ``SHA256SUMS`` has been read.

    Raises:
        StoredDataError: ``SHA256SUMS`` is missing, damaged or unreadable.
    """
    snapshot = latest(folder) if isinstance(folder, Url) else None
    try:
        place = published(folder, SUMS) if snapshot is None else snapshot.path(SUMS)
        return Sealed(folder, parse_sums(read_stored(place)), remedy, snapshot)
    except FileNotFoundError:
        raise StoredDataError(
            f"{folder} has no file {SUMS}: it was lost, or an earlier version of shapecnn made the folder. {remedy}"
        ) from None
    except OSError as error:
        if error.errno in TOO_MANY_OPEN:
            raise
        raise StoredDataError(f"{folder / SUMS} cannot be read ({error.strerror or error}). {remedy}") from None
    except ValueError as error:
        raise StoredDataError(f"{folder / SUMS} is damaged ({error}). {remedy}") from None


def publish_beside(
    folder: Path, files: Mapping[str, bytes], remedy: str, made: Mapping[str, str] | None = None
) -> None:
    """Add files to an output folder and to its ``SHA256SUMS``, and keep the files that ``SHA256SUMS`` already lists.

    Args:
        folder: The output folder, which is created if missing.
        files: Content of each file to write, by file name.
        remedy: Sentence that ends the error message about a damaged ``SHA256SUMS`` and tells the user what to do.
        made: Files that are already in the folder but not yet listed in ``SHA256SUMS``: relative path, mapped to the
            SHA-256 hash (hex).

    Raises:
        StoredDataError: The existing ``SHA256SUMS`` is damaged or unreadable.
        UsageError: Files of an interrupted earlier command cannot be moved into place; see
            :func:`shapecnn.storage.publishing.recover`.
    """
    sums = open_sealed(folder, remedy).sums if published(folder, SUMS).exists() else {}
    publish(folder, files, {**sums, **(made or {})})
