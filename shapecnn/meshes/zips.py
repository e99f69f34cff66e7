"""Zips of meshes: the names in them, read as whoever packed them meant, and what is under those names."""

from __future__ import annotations

import functools
import os
import stat
import unicodedata
import zipfile
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from shapecnn.errors import (
    ArchiveError,
    MeshError,
    quoted,
    reason,
)

_UTF8 = 0x800  # the flag of a member whose name is in UTF-8


def open_zip(file: Path | IO[bytes]) -> zipfile.ZipFile:
    """Open a zip for reading.

    The standard wants a flag on each name that is in UTF-8. macOS and others write UTF-8 without it, so names without
    the flag are read as UTF-8 if all of them are, else in the code page of the standard (cp437).

    Raises whatever :class:`zipfile.ZipFile` raises.
    """
    archive = zipfile.ZipFile(file)
    unflagged = [member for member in archive.infolist() if not member.flag_bits & _UTF8]
    try:
        names = [member.filename.encode("cp437").decode("utf-8") for member in unflagged]
    except UnicodeError:
        return archive
    for member, name in zip(unflagged, names, strict=True):
        member.filename = name
    return archive


def member_path(member: zipfile.ZipInfo) -> PurePosixPath:
    """Where a member is inside its zip; some packers on Windows write backslashes."""
    return PurePosixPath(member.filename.replace("\\", "/"))


def list_members(file: Path) -> list[str]:
    """The paths of the files in a zip, with ``/`` between folders.

    Raises ArchiveError if the zip is not safe to read, and whatever zipfile raises for a damaged one.
    """
    with open_zip(file) as archive:
        return [str(member_path(member)) for member in check_members(archive)]


def read_member(file: Path, name: str, limit: int) -> bytes:
    """The file called ``name`` (as :func:`list_members` has it) in a zip.

    A name that differs only in how its accents are encoded is found too: macOS packs them decomposed.

    Raises MeshError: missing, too-large (more than ``limit`` bytes), unreadable.
    """
    try:
        archive, members = _opened(file, file.stat().st_mtime_ns, os.getpid())
        member = members.get(name) or members.get(unicodedata.normalize("NFC", name))
        if member is None:
            raise MeshError("missing", f"there is no {quoted(name)} in {file}")
        if member.file_size > limit:
            raise MeshError("too-large", f"it has {member.file_size / 1e9:.1f} GB; the limit is {limit / 1e9:.1f} GB")
        return archive.read(member)
    except MeshError:
        raise
    except Exception as error:  # zlib.error, RuntimeError, EOFError: damaged or encrypted data finds many ways to fail
        raise MeshError("unreadable", f"it cannot be read from {file.name}: {reason(error)}") from None


@functools.lru_cache(maxsize=2)
def _opened(file: Path, _version: int, _process: int) -> tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]:
    """The zip, kept open, and its members by path: its directory is read once per process, not once per shape.

    A child that inherits it opens its own: the two would move one file position under each other.
    """
    archive = open_zip(file)
    exact = {str(member_path(member)): member for member in archive.infolist()}
    return archive, {unicodedata.normalize("NFC", name): member for name, member in exact.items()} | exact


MAX_RATIO = 200  # unpacked bytes for each byte of a zip; meshes as text have about 5


MAX_UNPACKED = 64 << 30  # bytes; ModelNet40 has 10 GB


MAX_MEMBERS = 1_000_000


def check_members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The files of a zip; ArchiveError if any name would leave the folder it is unpacked into or is a link, or if they
    would take more than ``MAX_RATIO`` times the size of the zip, ``MAX_UNPACKED`` or ``MAX_MEMBERS``.

    No more of a file is ever unpacked than its header announces, so that these are limits to what comes out.
    """
    members = archive.infolist()
    for member in members:
        name = member.filename
        path = PureWindowsPath(name)  # knows the separators and drives of every system
        if path.anchor or ".." in path.parts:
            raise ArchiveError(
                f"{archive.filename} holds {quoted(name)}, a path that leads out of it. Do not trust this file."
            )
        if stat.S_ISLNK(member.external_attr >> 16):
            raise ArchiveError(
                f"{archive.filename} holds the link {quoted(name)}. Pack the files themselves, not links to them."
            )
    if len(members) > MAX_MEMBERS:
        raise ArchiveError(f"{archive.filename} holds {len(members):,} files, more than {MAX_MEMBERS:,}: split it.")
    assert archive.fp is not None  # it is open
    total = sum(member.file_size for member in members)
    limit = min(MAX_RATIO * archive.fp.seek(0, os.SEEK_END), MAX_UNPACKED)
    if total > limit:
        raise ArchiveError(
            f"{archive.filename} would unpack to {total / 1e6:,.1f} MB, which is no size for a collection"
            f" (here the limit is {limit / 1e6:,.1f} MB). Do not trust this file."
        )
    return [member for member in members if member.filename and not member.is_dir()]
