"""Paths in an object store: URLs such as ``s3://bucket/meshes/chair`` that are used like local paths."""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path, PosixPath
from typing import Self

from shapecnn.errors import UsageError, quoted, visible

SCHEMES = ("s3", "gs", "az", "file")
"""Schemes of URLs that shapecnn reads and writes: Amazon S3 and its like, Google, Azure, and a local folder."""

_URL = re.compile(rf"({'|'.join(SCHEMES)}):/+(.*)", re.DOTALL)  # a Path has one slash where the URL has two


_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_SLASHLESS = re.compile(rf"({'|'.join(SCHEMES)}):(.+)", re.DOTALL)  # a typing error; a URL matches _URL before
_BUCKET = re.compile(r"[A-Za-z0-9._$-]+")  # of Azure also $web; of b#c, obstore would use b


class NotLocalError(UsageError, ValueError):
    """A URL was used as a path of the file system. For ``os.path.exists``, which knows ValueError, nothing is there."""


class Url(PosixPath):
    """Path in an object store. It is printed as a URL, and ``/`` appends to it as to any path.

    It is no path of the file system: ``exists()`` and ``is_dir()`` are false, and opening it is a UsageError.

    Example:
        >>> as_path("s3://bucket/meshes") / "chair" / "a.off"
        Url('s3://bucket/meshes/chair/a.off')
    """

    def __str__(self) -> str:
        scheme, *rest = self.parts or (".",)
        if not rest:  # a parent of a bucket
            return scheme
        return f"{scheme}//{'/' if scheme == 'file:' else ''}{'/'.join(rest)}"

    def __fspath__(self) -> str:
        """Raise NotLocalError: otherwise a local folder ``s3:`` could be written by mistake."""
        raise NotLocalError(
            f"{self} is a URL, but a local path is needed here. docs/object-storage.md lists what a URL may be."
        )

    def as_posix(self) -> str:
        """Return the URL."""
        return str(self)

    def __repr__(self) -> str:
        return f"Url({str(self)!r})"

    def absolute(self) -> Self:
        """Return the path itself: a URL is absolute."""
        return self

    def resolve(self, strict: bool = False) -> Self:  # noqa: ARG002
        """Return the path itself: a URL has no links."""
        return self

    @property
    def bucket(self) -> str:
        """URL of the bucket or container; for a local folder ``file:///``."""
        scheme, *rest = self.parts
        return "file:///" if scheme == "file:" else f"{scheme}//{rest[0]}"

    @property
    def key(self) -> str:
        """Path inside the bucket, with ``/`` between its parts and none at its ends."""
        return "/".join(self.parts[1 if self.parts[0] == "file:" else 2 :])

    @property
    def local(self) -> Path | None:
        """The file or folder of a ``file://`` URL; None in a bucket."""
        return Path(f"/{self.key}") if self.parts[0] == "file:" else None


def is_url(path: str | os.PathLike[str]) -> bool:
    """Return whether a path is a URL of an object store.

    Args:
        path: Any path, also one that ``Path("s3://bucket/…")`` has shortened to ``s3:/bucket/…``.
    """
    return isinstance(path, Url) or _URL.fullmatch(os.fspath(path)) is not None


def as_path(path: str | os.PathLike[str]) -> Path:
    """Return a path that the user gave as a Path, or as a :class:`Url` if it is one.

    Args:
        path: A local path, or a URL such as ``s3://bucket/views``.

    Raises:
        UsageError: The URL lacks its slashes, names no possible bucket, holds credentials, has a part that objects
            cannot have, or is of another scheme.

    Example:
        >>> as_path("s3:/bucket/views")
        Url('s3://bucket/views')
    """
    if isinstance(path, Url):
        return path
    text = os.fspath(path)
    match = _URL.fullmatch(text)
    if match is None and _SCHEME.match(text):
        raise UsageError(f"{quoted(text)} is not a URL that shapecnn knows: use s3://, gs://, az:// or file://.")
    given = match or _SLASHLESS.fullmatch(text)
    if given is None or (match is None and os.path.lexists(text)):
        return Path(path)
    scheme, rest = given.groups()
    if not rest.strip("/"):
        needed = "a folder, such as file:///data/views" if scheme == "file" else f"a bucket, such as {scheme}://my-data"
        raise UsageError(f"{scheme}:// names nothing: add {needed}.")
    bucket = rest.partition("/")[0]
    if scheme != "file" and "@" in bucket:  # not repeated: it may be a password
        raise UsageError(f"A {scheme}:// URL holds no credentials, and a bucket has no '@': set environment variables.")
    if match is None:
        url = visible(f"{scheme}://{os.path.abspath(rest) if scheme == 'file' else rest}")  # to write: never cut
        raise UsageError(
            f"{quoted(text)} lacks the slashes of a URL: write '{url}', or the absolute path of a local file or folder."
        )
    if scheme != "file" and not _BUCKET.fullmatch(bucket):
        raise UsageError(f"{quoted(bucket)} is no bucket: its name has letters, digits, '.', '-' and '_' only.")
    if "\0" in rest or (scheme != "file" and any(unicodedata.category(character) == "Cc" for character in rest)):
        raise UsageError(
            f"{quoted(text)} holds a control character, such as a line break: objects of such names cannot be used."
        )
    if ".." in rest.split("/"):
        raise UsageError(f"{quoted(text)} is not a path in an object store: leave out the parts named '..'.")
    return Url(f"{scheme}:/{rest}")


def absolute(path: str) -> str:
    """Return a path that does not depend on the current folder; a URL stays as it is.

    Args:
        path: A local path, or a URL.
    """
    return path if is_url(path) else os.path.abspath(path)
