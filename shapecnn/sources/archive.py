"""Unpacking a zip that may be damaged or hostile: nothing outside its folder, no links, no bombs."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from shapecnn.errors import ArchiveError, quoted, reason
from shapecnn.meshes.zips import check_members, member_path, open_zip
from shapecnn.workers.progress import Progress

_CHUNK = 1 << 20  # bytes
_REMEDY = "Run again with a sound copy of it."


def unpack(archive: Path, folder: Path, progress: Progress | None = None) -> None:
    """Unpack the zip ``archive`` into the new folder ``folder``, leaving out what macOS adds.

    Raises ArchiveError if it is no zip, is damaged, holds a path twice, or what :func:`check_members` refuses. What was
    unpacked by then is left for the caller to remove.
    """
    folder.mkdir(parents=True)
    with archive.open("rb") as file:
        try:
            opened = open_zip(file)
        except Exception as error:  # not only BadZipFile: a directory of random bytes finds many ways to fail
            raise ArchiveError(f"{archive} is no zip, or a part of one ({reason(error)}). {_REMEDY}") from None
        with opened:
            members = [member for member in check_members(opened) if not _is_junk(member_path(member))]
            total = sum(member.file_size for member in members)
            done = 0
            for member in members:
                target = folder / member_path(member)
                try:
                    target.parent.mkdir(parents=True, exist_ok=True)
                    out = target.open("xb")
                except (FileExistsError, NotADirectoryError):
                    raise ArchiveError(f"{archive} holds {quoted(member.filename)} twice. Pack it anew.") from None
                with out:
                    for chunk in _content(opened, member):
                        out.write(chunk)
                        done += len(chunk)
                        if progress is not None:
                            progress(done, total)


def _content(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    """The bytes of one member, never more than its header announces: the limits were checked with that."""
    left = member.file_size
    try:
        with archive.open(member) as stream:  # compares the CRC when it comes to the end
            while left >= 0 and (chunk := stream.read(_CHUNK)):
                left -= len(chunk)
                if left >= 0:
                    yield chunk
        if left != 0:
            raise zipfile.BadZipFile("it does not have the size that its header announces")
    except Exception as error:  # zlib.error, EOFError, RuntimeError: whatever random bytes make of the decoders
        place = f"{archive.filename} is damaged at {quoted(member.filename)}"
        raise ArchiveError(f"{place} ({reason(error)}). {_REMEDY}") from None


def _is_junk(path: PurePosixPath) -> bool:
    return "__MACOSX" in path.parts or path.name == ".DS_Store"
