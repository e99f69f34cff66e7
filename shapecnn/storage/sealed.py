"""Sealed folders: each file is checked against the hash that was published with it before its content is used."""

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

LARGEST_JSON = 16 << 20  # bytes; a description of a run or an index has some thousand


@dataclass(frozen=True, slots=True)
class Sealed:
    """A folder whose files are read only if they match their hashes.

    Attributes:
        folder: The folder.
        sums: SHA-256 (hex) of each file by its relative path. No other file is read.
        remedy: The sentence that ends the message about a damaged file and says what to do.
    """

    folder: Path
    sums: Mapping[str, str]
    remedy: str

    def read(self, name: str) -> bytes:
        """Read a file into memory and check its hash.

        Args:
            name: Path of the file relative to the folder.

        Returns:
            The content of the file.

        Raises:
            StoredDataError: The file has no hash, cannot be read, or has another hash.
        """
        return self._checked(name, read_stored, sha256)

    def map(self, name: str) -> bytes | mmap:
        """Map a file of any size and check its hash; its content is not held in memory.

        Args:
            name: Path of the file relative to the folder.

        Returns:
            The content of the file, as by :func:`shapecnn.storage.reading.map_stored`.

        Raises:
            StoredDataError: The file has no hash, cannot be read, or has another hash.
        """
        return self._checked(name, map_stored, sha256)

    def check(self, name: str) -> None:
        """Check the hash of a file of any size.

        Args:
            name: Path of the file relative to the folder.

        Raises:
            StoredDataError: The file has no hash, cannot be read, or has another hash.
        """
        self._checked(name, lambda path: path, sha256_of)

    def json(self, name: str, version: int | None = None) -> dict[str, Any]:
        """Read a JSON object from a file and check its hash.

        Args:
            name: Path of the file relative to the folder.
            version: The ``schema_version`` that the object must have; None for any object.

        Returns:
            The object; with a ``version``, without its ``schema_version``.

        Raises:
            StoredDataError: The file has no hash, cannot be read, or has another hash; or it is not a JSON object of
                at most 16 MiB with the required version.
        """
        content = self.map(name)
        with self.validating(name):
            if len(content) > LARGEST_JSON:
                raise ValueError(f"it has more than {LARGEST_JSON / 1e6:.0f} MB")
            value = parse_json(content[:])
            if not isinstance(value, dict):
                raise ValueError("it is not a JSON object")
        if version is not None and value.pop("schema_version", None) != version:
            raise StoredDataError(
                f"{printable(self.folder / name)} was made by another version of shapecnn. Use that version for it, "
                f"or make it again with this one."
            )
        return value

    @contextmanager
    def validating(self, name: str) -> Iterator[None]:
        """Convert errors about the content of a file into a StoredDataError that names the file.

        Args:
            name: Path of the file relative to the folder. Its hash has been checked.

        Yields:
            Nothing, around the code that validates the content.

        Raises:
            StoredDataError: The code raised a ValueError or a UsageError.
        """
        try:
            yield
        except (ValueError, UsageError) as error:
            raise self.invalid(name, str(error)) from None

    def invalid(self, name: str, reason: str) -> StoredDataError:
        """Describe a file that has its hash and yet invalid content.

        Args:
            name: Path of the file relative to the folder.
            reason: What is wrong with it. Only the first line is used, cut to 200 characters.

        Returns:
            The error, to be raised by the caller.
        """
        line = visible((reason.splitlines() or ["it is damaged"])[0].rstrip("."))
        line = line if len(line) <= 200 else f"{line[:199]}…"  # it may quote the file
        return StoredDataError(f"{printable(self.folder / name)} has invalid content ({line}). {self.remedy}")

    def _checked(self, name: str, read: Callable[[Path], Content], digest: Callable[[Content], str]) -> Content:
        """Read a file and compare the digest of the result with its hash.  Raises StoredDataError."""
        if name not in self.sums:
            raise StoredDataError(f"{self.folder / SUMS} has no hash of {printable(name)}. {self.remedy}")
        path = printable(self.folder / name)
        try:
            content = read(published(self.folder, name))
            actual = digest(content)
        except OSError as error:
            raise StoredDataError(f"{path} cannot be read ({error.strerror or error}). {self.remedy}") from None
        if actual != self.sums[name]:
            raise StoredDataError(f"{path} has changed since it was written (its hash differs). {self.remedy}")
        return content


def printable(path: Path | str) -> str:
    """Format a path for a message, on one line.

    Args:
        path: Any path.

    Returns:
        The path; quoted, with escapes, if it contains characters that cannot be printed.
    """
    return str(path) if str(path).isprintable() else repr(str(path))


def open_sealed(folder: Path, remedy: str) -> Sealed:
    """Read the hashes of a folder, by which its files are checked.

    Args:
        folder: A folder in which files were published.
        remedy: The sentence that ends the message about a damaged file and says what to do.

    Returns:
        The sealed folder. None of its other files has been read yet.

    Raises:
        StoredDataError: ``SHA256SUMS`` is missing, damaged or cannot be read.
    """
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
    """Publish files in a folder and keep those published there before.

    Args:
        folder: The folder, which may be new.
        files: Content by file name.
        remedy: The sentence that ends the message about damaged hashes and says what to do.
        made: SHA-256 (hex) by relative path of files that are already in the folder and join the published ones.

    Raises:
        StoredDataError: The folder has a ``SHA256SUMS`` that is damaged or cannot be read.
        UsageError: An earlier publication cannot be finished; see :func:`shapecnn.storage.publishing.recover`.
    """
    sums = open_sealed(folder, remedy).sums if published(folder, SUMS).exists() else {}
    publish(folder, files, {**sums, **(made or {})})
