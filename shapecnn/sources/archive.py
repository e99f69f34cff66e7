"""Unpack a zip safely, even if it is damaged or malicious: reject paths outside the folder, links and zip bombs."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from shapecnn.errors import ArchiveError, quoted, reason
from shapecnn.meshes.zips import check_members, member_path, open_zip
from shapecnn.workers.progress import Progress

_CHUNK = 1 << 20  # bytes per read
_REMEDY = "Run again with an undamaged copy of the zip."


def unpack(archive: Path, folder: Path, progress: Progress | None = None) -> None:
    """Unpack a zip into a new folder, without the files that macOS adds.

    If unpacking fails, the files unpacked so far remain in the folder, and the caller must remove them.

    Args:
        archive: Path of the zip.
        folder: The folder to create.
        progress: Callback for progress: bytes unpacked, and bytes in total.

    Raises:
        ArchiveError: The file is not a zip, is damaged, has two files with the same path, or fails
            :func:`check_members`.
    """
    folder.mkdir(parents=True)
    with archive.open("rb") as file:
        try:
            opened = open_zip(file)
        except Exception as error:  # zipfile raises more than BadZipFile if the directory of the zip is damaged
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
                    raise ArchiveError(
                        f"The path of {quoted(member.filename)} in {archive} conflicts with the path of an earlier"
                        " file. Create the zip again, with distinct paths."
                    ) from None
                with out:
                    for chunk in _content(opened, member):
                        out.write(chunk)
                        count += len(chunk)
                        if progress is not None:
                            progress(count, total)


def _content(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    """Read one file of a zip in chunks, but never more bytes than the header of the file declares."""
    left = member.file_size
    try:
        with archive.open(member) as stream:  # checks the CRC at the end
            while left >= 0 and (chunk := stream.read(_CHUNK)):
                left -= len(chunk)
                if left >= 0:
                    yield chunk
        if left != 0:
            raise zipfile.BadZipFile("the file does not have the size that its header announces")
    except Exception as error:  # zlib.error, EOFError, RuntimeError and more, on damaged data
        complaint = f"{archive.filename} is damaged at {quoted(member.filename)}"
        raise ArchiveError(f"{complaint} ({reason(error)}). {_REMEDY}") from None


def _is_junk(path: PurePosixPath) -> bool:
    """Return whether a file of a zip is macOS metadata: a file in a folder ``__MACOSX``, or named ``.DS_Store``."""
    return "__MACOSX" in path.parts or path.name == ".DS_Store"
