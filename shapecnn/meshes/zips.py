"""Read meshes from zips: decode file names correctly, and refuse unsafe or too large zips."""

from __future__ import annotations

import functools
import os
import stat
import unicodedata
import zipfile
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from shapecnn.errors import ArchiveError, MeshError, quoted, reason

MAX_RATIO = 200  # largest ratio of unpacked to packed size; meshes in text formats have about 5
MAX_UNPACKED = 64 << 30  # largest unpacked size in bytes; ModelNet40 has 10 GB
MAX_MEMBERS = 1_000_000  # largest number of files and folders in a zip
_UTF8 = 0x800  # flag bit of a file in a zip: its name is in UTF-8


def open_zip(file: Path | IO[bytes]) -> zipfile.ZipFile:
    """Open a zip for reading, with file names decoded as UTF-8 if possible.

    The zip standard marks each name in UTF-8 by a flag, but macOS and others write UTF-8 without the flag. So names
    without the flag are decoded as UTF-8 if all of them are valid UTF-8, else as cp437, the default of the standard.

    Args:
        file: The path of the zip, or an open file.

    Returns:
        The open zip; the caller closes it.

    Raises:
        Exception: Any error of :class:`zipfile.ZipFile`.
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
    """Return the path of a file inside its zip, with ``/`` for the backslashes that some Windows programs write."""
    return PurePosixPath(member.filename.replace("\\", "/"))


def list_members(file: Path) -> list[str]:
    """Return the paths of the files in a zip, with ``/`` between folders.

    Raises:
        ArchiveError: The zip is not safe to read.
        Exception: Any error that zipfile raises for a damaged zip.
    """
    with open_zip(file) as archive:
        return [str(member_path(member)) for member in check_members(archive)]


def read_member(file: Path, name: str, limit: int) -> bytes:
    """Return the content of one file in a zip.

    Args:
        file: Path of the zip.
        name: Path of the file inside the zip, as :func:`list_members` returns it. Accented letters may be composed or
            decomposed Unicode (as macOS writes them).
        limit: Largest unpacked size of the file, in bytes.

    Raises:
        MeshError: The file is missing, too large or unreadable.
    """
    try:
        archive, members = _open_cached(file, file.stat().st_mtime_ns, os.getpid())
        member = members.get(name) or members.get(unicodedata.normalize("NFC", name))
        if member is None:
            raise MeshError("missing", f"the zip {file} has no file {quoted(name)}")
        if member.file_size > limit:
            raise MeshError(
                "too-large",
                f"the file has {member.file_size / 1e9:.1f} GB, more than the limit of {limit / 1e9:.1f} GB:"
                f" simplify the mesh",
            )
        return archive.read(member)
    except MeshError:
        raise
    except Exception as error:  # zlib.error, RuntimeError, EOFError and more: damaged or encrypted data
        raise MeshError("unreadable", f"the file cannot be read from the zip {file.name}: {reason(error)}") from None


@functools.lru_cache(maxsize=2)
def _open_cached(file: Path, _version: int, _process: int) -> tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]:
    """Open a zip; return the zip and its members by path, cached so that each process opens the zip only once.

    The process id is part of the key because a forked child would share the file position with its parent.
    """
    archive = open_zip(file)
    exact = {str(member_path(member)): member for member in archive.infolist()}
    return archive, {unicodedata.normalize("NFC", name): member for name, member in exact.items()} | exact


def check_members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """Check that a zip is safe to unpack; return its files, without the folders.

    The check trusts the sizes that the zip declares, because zipfile never unpacks more than the declared size.

    Raises:
        ArchiveError: A path leads out of the target folder, a file is a link, or the zip exceeds ``MAX_MEMBERS``,
            ``MAX_UNPACKED`` bytes or ``MAX_RATIO`` times its own size.
    """
    members = archive.infolist()
    for member in members:
        name = member.filename
        path = PureWindowsPath(name)  # splits at / and at backslashes, and detects drives
        if path.anchor or ".." in path.parts:
            raise ArchiveError(
                f"{archive.filename} holds {quoted(name)}, a path that leads out of the zip. Do not trust this file."
            )
        if stat.S_ISLNK(member.external_attr >> 16):
            raise ArchiveError(
                f"{archive.filename} holds the link {quoted(name)}. Pack the files themselves, not links to them."
            )
    if len(members) > MAX_MEMBERS:
        raise ArchiveError(
            f"{archive.filename} holds {len(members):,} files, more than {MAX_MEMBERS:,}: split the zip."
        )
    assert archive.fp is not None  # the zip is open
    total = sum(member.file_size for member in members)
    limit = min(MAX_RATIO * archive.fp.seek(0, os.SEEK_END), MAX_UNPACKED)
    if total > limit:
        raise ArchiveError(
            f"{archive.filename} would unpack to {total / 1e6:,.1f} MB, more than the limit of"
            f" {limit / 1e6:,.1f} MB. Do not trust this file."
        )
    return [member for member in members if member.filename and not member.is_dir()]
