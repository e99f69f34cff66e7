"""ModelNet from its official server, a mirror or a zip at hand: fetched, checked, unpacked whole."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from shapecnn.errors import (
    ArchiveError,
    CollectionError,
    DownloadError,
    MismatchError,
    StoredDataError,
    UsageError,
)
from shapecnn.meshes.collection import list_shapes
from shapecnn.meshes.labels import SPLITS
from shapecnn.sources.archive import unpack
from shapecnn.sources.transfer import discard, fetch, require_begun
from shapecnn.storage.publishing import WORK, claim, exclusive
from shapecnn.storage.publishing import discard as discard_work
from shapecnn.storage.reading import json_bytes, read_json, sha256_of
from shapecnn.workers.progress import Progress, stage


@dataclass(frozen=True, slots=True)
class Source:
    """A collection on its official server: its folder, and the address and SHA-256 of its zip."""

    folder: str
    url: str
    sha256: str


# We know of no checksums by Princeton. These are in compressai/datasets/pointcloud/modelnet.py of
# InterDigitalInc/CompressAI, the same in src/datasets/modelnet/base.jl of FluxML/Flux3D.jl (both on GitHub).
SOURCES = {
    "modelnet10": Source(
        "ModelNet10",
        "http://3dvision.princeton.edu/projects/2014/3DShapeNets/ModelNet10.zip",
        "9d8679435fc07d1d26f13009878db164a7aa8ea5e7ea3c8880e42794b7307d51",
    ),
    "modelnet40": Source(
        "ModelNet40",
        "http://modelnet.cs.princeton.edu/ModelNet40.zip",
        "42dc3e656932e387f554e25a4eb2cc0e1a1bd3ab54606e2a9eae444c60e536ac",
    ),
}

RECORD = "download.json"  # in the unpacked folder: the Origin, and the count of shapes to check it by


@dataclass(frozen=True, slots=True)
class Origin:
    """The zip that a folder came out of: where it was, its size in bytes and its SHA-256."""

    url: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Download:
    """A collection in place."""

    path: Path
    shapes: int
    origin: Origin | None  # None: the folder was there already, from elsewhere
    new: bool  # False: it was there already and nothing was fetched


def download(
    name: str,
    dest: Path,
    url: str | None = None,
    sha256: str | None = None,
    progress: Progress | None = None,
    *,
    overwrite: bool = False,
) -> Download:
    """Put the collection ``name`` of ``SOURCES`` into its folder in ``dest``; it appears whole or not at all.

    ``url`` is a mirror or a zip at hand (a path or file:// URL); ``sha256`` is what the zip must have, 64
    hexadecimal digits (default: from the official server that of the official zip, from elsewhere anything).
    ``progress`` is told the bytes fetched, then the bytes unpacked. What has come of a transfer that fails is
    kept in ``dest / "<name>.zip.part"``, and the next call goes on from there.

    Raises DownloadError (the server, the SHA-256, the disk), ArchiveError, UsageError and BusyError; for a
    folder that is there already MismatchError (from another zip) and StoredDataError (meshes are missing).
    """
    if sha256 is not None and not re.fullmatch("[0-9a-fA-F]{64}", sha256):
        raise UsageError(f"The SHA-256 {sha256!r} does not have 64 hexadecimal digits.")
    source = SOURCES[name]
    expected = sha256.lower() if sha256 else None
    target = dest / source.folder
    if target.exists():
        return _already(target, expected)
    if url in (None, source.url):
        url, expected = source.url, expected or source.sha256
    local = _local(url)
    try:
        with exclusive(dest, overwrite):
            if local is not None:
                return _install(local, url, expected, target, progress)
            part = dest / f"{name}.zip.part"
            require_begun(part, overwrite)
            try:
                fetch(url, part, progress)
            except DownloadError as error:
                server = "The official server" if url == source.url else "The server"
                raise DownloadError(
                    f"{server} {error} Try again later (what has come is kept), or give a mirror or a zip"
                    f" that you have: shapecnn data download {name} {dest} --url URL_OR_FILE"
                ) from None
            try:
                made = _install(part, url, expected, target, progress)
            except (ArchiveError, DownloadError) as error:
                discard(part)  # or every later run would stumble over it
                raise type(error)(f"{error} The download is removed: the next run is a new start.") from None
            discard(part)
            return made
    except OSError as error:
        raise DownloadError(
            f"{error.filename or dest}: {error.strerror or error}. Make room or choose another folder, and"
            " run again: what has come is kept."
        ) from None


def _local(url: str) -> Path | None:
    """The file that ``url`` names on this machine; None for a web address."""
    if url.lower().startswith(("http://", "https://")):
        return None
    if url.lower().startswith("file://"):
        path = Path(url2pathname(urlsplit(url).path))
    elif "://" in url:
        raise UsageError(f"{url} is neither a web address (http, https) nor a file.")
    else:
        path = Path(url)
    if not path.is_file():
        raise UsageError(f"There is no file {path}.")
    return path


def _install(archive: Path, url: str, expected: str | None, target: Path, progress: Progress | None) -> Download:
    """Check the SHA-256 of ``archive``, unpack it beside ``target`` and move it there."""
    with stage(f"Checking {archive.name}"):
        sha256 = sha256_of(archive.resolve())
    if expected not in (None, sha256):
        raise DownloadError(
            f"{url} has the SHA-256 {sha256}, not {expected}: it is damaged or another file."
            f" If it has changed and you trust it, add --sha256 {sha256}."
        )
    work = target.parent / WORK
    discard_work(work)  # of a run that was killed
    claim(work)
    try:
        unpack(archive, work / target.name, progress)
        collection = _unwrapped(work / target.name)
        try:
            shapes = len(list_shapes(collection, labels="none"))
        except CollectionError:
            raise ArchiveError(f"{url} holds no mesh files: give the zip of a collection.") from None
        origin = Origin(url, archive.stat().st_size, sha256)
        (collection / RECORD).write_bytes(json_bytes({**asdict(origin), "shapes": shapes}))
        collection.rename(target)
    finally:
        discard_work(work)
    return Download(target, shapes, origin, new=True)


def _unwrapped(folder: Path) -> Path:
    """The only folder in ``folder``, whatever its name, but not a class with its splits; else ``folder``."""
    entries = list(folder.iterdir())
    if len(entries) != 1 or not entries[0].is_dir():
        return folder
    inside = {entry.name for entry in entries[0].iterdir()}
    return folder if inside <= set(SPLITS) else entries[0]


def _already(target: Path, expected: str | None) -> Download:
    """What is in place, after a check that all of it still is."""
    shapes = len(list_shapes(target, labels="none"))
    origin = None
    if (target / RECORD).exists():
        record = read_json(target / RECORD)
        if shapes < record.pop("shapes"):
            raise StoredDataError(
                f"{target} has lost meshes since it was unpacked. Move it away and run again, or choose another folder."
            )
        origin = Origin(**record)
    if expected is not None and (origin is None or origin.sha256 != expected):
        raise MismatchError(
            f"{target} came out of a zip whose SHA-256 is {origin.sha256 if origin else 'unknown'}, not"
            f" {expected}. Move it away, or choose another folder."
        )
    return Download(target, shapes, origin, new=False)
