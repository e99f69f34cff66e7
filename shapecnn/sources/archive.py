"""Unpack a zip that may be damaged or hostile: no files outside the target folder, no links, no zip bombs."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from shapecnn.errors import ArchiveError, quoted, reason
from shapecnn.meshes.zips import check_members, member_path, open_zip
from shapecnn.workers.progress import Progress

_CHUNK = 1 << 20  # bytes
_REMEDY = "Run again with an undamaged copy."


def unpack(archive: Path, folder: Path, progress: Progress | None = None) -> None:
    """Unpack a zip into a new folder, without the files that macOS adds.

    After an error the files unpacked so far stay for the caller to remove.

    Args:
        archive: The zip file.
        folder: The folder to create.
        progress: Receives the number of bytes unpacked and the number in all.

    Raises:
        ArchiveError: The file is no zip, is damaged, holds a path twice, or does not pass :func:`check_members`.
    """
    folder.mkdir(parents=True)
    with archive.open("rb") as file:
        try:
            opened = open_zip(file)
        except Exception as error:  # not only BadZipFile: a directory of random bytes can fail in many ways
            raise ArchiveError(f"{archive} is not a complete zip ({reason(error)}). {_REMEDY}") from None
        with opened:
            members = [member for member in check_members(opened) if not _is_junk(member_path(member))]
            total = sum(member.file_size for member in members)
            count = 0
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
                        count += len(chunk)
                        if progress is not None:
                            progress(count, total)


def _content(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    """Yield the content of one member, never more than its header announces: that size passed the limits."""
    left = member.file_size
    try:
        with archive.open(member) as stream:  # checks the CRC at the end
            while left >= 0 and (chunk := stream.read(_CHUNK)):
                left -= len(chunk)
                if left >= 0:
                    yield chunk
        if left != 0:
            raise zipfile.BadZipFile("it does not have the size that its header announces")
    except Exception as error:  # zlib.error, EOFError, RuntimeError: decoders fail in many ways on random bytes
        complaint = f"{archive.filename} is damaged at {quoted(member.filename)}"
        raise ArchiveError(f"{complaint} ({reason(error)}). {_REMEDY}") from None


def _is_junk(path: PurePosixPath) -> bool:
    """Return whether macOS added this file."""
    return "__MACOSX" in path.parts or path.name == ".DS_Store"
