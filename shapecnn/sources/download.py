"""Download ModelNet from its official server, a mirror or a local zip; check it and unpack it."""

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
from shapecnn.storage.publishing import exclusive
from shapecnn.storage.reading import json_bytes, read_json, sha256_of
from shapecnn.storage.unfinished import WORK, claim
from shapecnn.storage.unfinished import discard as discard_work
from shapecnn.workers.progress import Progress, stage


@dataclass(frozen=True, slots=True)
class Source:
    """A collection on its official server.

    Attributes:
        folder: Name of the folder that the collection is unpacked into.
        url: Address of the zip.
        sha256: SHA-256 of the zip, 64 hexadecimal digits.
    """

    folder: str
    url: str
    sha256: str


# Princeton publishes no checksums that we know of. These are from compressai/datasets/pointcloud/modelnet.py of
# InterDigitalInc/CompressAI; src/datasets/modelnet/base.jl of FluxML/Flux3D.jl has the same (both on GitHub).
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

RECORD = "download.json"  # file in the unpacked folder with the Origin and the number of shapes, for later checks


@dataclass(frozen=True, slots=True)
class Origin:
    """The zip that a folder was unpacked from.

    Attributes:
        url: Its address or path.
        bytes: Its size in bytes.
        sha256: Its SHA-256, 64 hexadecimal digits.
    """

    url: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Download:
    """A collection on disk.

    Attributes:
        path: Its folder.
        shapes: Number of shapes in it.
        origin: The zip that it was unpacked from; None for a folder that shapecnn did not make.
        new: False if the folder existed already, so that nothing was fetched.
    """

    path: Path
    shapes: int
    origin: Origin | None
    new: bool


def download(
    name: str,
    dest: Path,
    url: str | None = None,
    sha256: str | None = None,
    progress: Progress | None = None,
    *,
    overwrite: bool = False,
) -> Download:
    """Download a collection and unpack it into its folder in ``dest``, which appears complete or not at all.

    After a failed transfer the bytes received stay in ``dest / "<name>.zip.part"``, and the next call continues there.

    Args:
        name: A collection of ``SOURCES``.
        dest: The folder that the collection's folder is made in.
        url: Address of a mirror, or a path or file:// URL of a local zip; None: the official server.
        sha256: Expected SHA-256 of the zip, 64 hexadecimal digits; None: that of the official zip for the official
            server, and no check for any other source.
        progress: Receives the number of bytes fetched and later of bytes unpacked, and the number in all.
        overwrite: Replace a partial download that shapecnn did not write.

    Returns:
        The collection on disk. An existing folder is checked and returned as it is.

    Raises:
        DownloadError: The server or the disk fails, or the zip has another SHA-256.
        ArchiveError: The zip is damaged, unsafe, or no collection.
        UsageError: ``sha256`` or ``url`` is not valid, or the partial download is not ours.
        BusyError: Another process is writing to ``dest``.
        MismatchError: The existing folder was unpacked from another zip.
        StoredDataError: The existing folder has lost meshes.
    """
    if sha256 is not None and not re.fullmatch("[0-9a-fA-F]{64}", sha256):
        raise UsageError(f"The SHA-256 {sha256!r} does not have 64 hexadecimal digits. Check --sha256.")
    source = SOURCES[name]
    expected = sha256.lower() if sha256 else None
    target = dest / source.folder
    if target.exists():
        return _check_existing(target, expected)
    if url in (None, source.url):
        url, expected = source.url, expected or source.sha256
    local = _local_file(url)
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
                    f"{server} {error} Try again later (the bytes received are kept), or give a mirror or a local"
                    f" zip: shapecnn data download {name} {dest} --url URL_OR_FILE"
                ) from None
            try:
                collection = _install(part, url, expected, target, progress)
            except (ArchiveError, DownloadError) as error:
                discard(part)  # otherwise every later run would fail on it
                raise type(error)(f"{error} The partial download is removed; the next run starts anew.") from None
            discard(part)
            return collection
    except OSError as error:
        raise DownloadError(
            f"{error.filename or dest}: {error.strerror or error}. Make room or choose another folder, and"
            " run again: the bytes received are kept."
        ) from None


def _local_file(url: str) -> Path | None:
    """Return the local file that ``url`` names, or None for a web address."""
    if url.lower().startswith(("http://", "https://")):
        return None
    if url.lower().startswith("file://"):
        path = Path(url2pathname(urlsplit(url).path))
    elif "://" in url:
        raise UsageError(f"{url} is neither a web address (http, https) nor a file. Check --url.")
    else:
        path = Path(url)
    if not path.is_file():
        raise UsageError(f"There is no file {path}. Check --url.")
    return path


def _install(archive: Path, url: str, expected: str | None, target: Path, progress: Progress | None) -> Download:
    """Check the SHA-256 of ``archive``, unpack it beside ``target`` and move the result to ``target``."""
    with stage(f"Checking {archive.name}"):
        sha256 = sha256_of(archive.resolve())
    if expected not in (None, sha256):
        raise DownloadError(
            f"{url} has the SHA-256 {sha256}, not {expected}: it is damaged or another file."
            f" If you trust it, add --sha256 {sha256}."
        )
    work = target.parent / WORK
    discard_work(work)  # left by a run that was killed
    claim(work)
    try:
        unpack(archive, work / target.name, progress)
        collection = _collection_root(work / target.name)
        try:
            shapes = len(list_shapes(collection, labels="none"))
        except CollectionError:
            raise ArchiveError(f"{url} holds no mesh files. Give the zip of a collection.") from None
        origin = Origin(url, archive.stat().st_size, sha256)
        (collection / RECORD).write_bytes(json_bytes({**asdict(origin), "shapes": shapes}))
        collection.rename(target)
    finally:
        discard_work(work)
    return Download(target, shapes, origin, new=True)


def _collection_root(folder: Path) -> Path:
    """Return the folder that holds the classes: the only folder in ``folder`` unless it is a class, else ``folder``.

    A folder with nothing but splits in it is a class.
    """
    entries = list(folder.iterdir())
    if len(entries) != 1 or not entries[0].is_dir():
        return folder
    inside = {entry.name for entry in entries[0].iterdir()}
    return folder if inside <= set(SPLITS) else entries[0]


def _check_existing(target: Path, expected: str | None) -> Download:
    """Return the collection in an existing folder, after checking its number of shapes and the SHA-256 of its zip."""
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
            f"{target} was unpacked from a zip whose SHA-256 is {origin.sha256 if origin else 'unknown'}, not"
            f" {expected}. Move it away, or choose another folder."
        )
    return Download(target, shapes, origin, new=False)
