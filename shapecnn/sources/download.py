"""Download the zip of ModelNet from the official server, a mirror or a local file, check it and unpack it."""

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
    """Official source of a collection: address and SHA-256 of the zip on its server.

    Attributes:
        folder: Name of the folder to unpack the zip into.
        url: Address of the zip.
        sha256: SHA-256 of the zip, 64 hexadecimal digits.
    """

    folder: str
    url: str
    sha256: str


# Princeton publishes no checksums that we know of. The SHA-256 hashes below are from the GitHub repository
# InterDigitalInc/CompressAI, compressai/datasets/pointcloud/modelnet.py. FluxML/Flux3D.jl has the same hashes in
# src/datasets/modelnet/base.jl.
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

RECORD = "download.json"  # file in the unpacked folder that stores the Origin and the number of shapes for later checks


@dataclass(frozen=True, slots=True)
class Origin:
    """Record of the zip that a collection was unpacked from: address, size and SHA-256.

    Attributes:
        url: Address or path of the zip.
        bytes: Size of the zip in bytes.
        sha256: SHA-256 of the zip, 64 hexadecimal digits.
    """

    url: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Download:
    """A downloaded collection on disk: the result of :func:`download`.

    Attributes:
        path: Folder of the collection.
        shapes: Number of shapes in the collection.
        origin: The zip that the collection was unpacked from, or None if shapecnn did not unpack it.
        new: True if the collection was downloaded now; False if its folder already existed.
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
    """Download the zip of a collection and unpack it into a new folder inside ``dest``.

    The new folder appears only when it is complete. After a failed transfer, the bytes received remain in
    ``dest / "<name>.zip.part"``, and the next call resumes the transfer.

    Args:
        name: Name of the collection, a key of ``SOURCES``.
        dest: Folder in which the new folder is created.
        url: Address of a mirror, or path or file:// URL of a local zip. None means the official server.
        sha256: Expected SHA-256 of the zip, 64 hexadecimal digits. None means the hash in ``SOURCES`` for the official
            server, and no check for any other source.
        progress: Callback for progress: bytes done and bytes in total, first of the transfer, then of the unpacking.
        overwrite: Whether to replace a .part file that shapecnn did not write.

    Returns:
        The collection on disk. If its folder already exists, the folder is checked and not downloaded again.

    Raises:
        DownloadError: The server or the disk fails, or the zip does not have the expected SHA-256.
        ArchiveError: The zip is damaged, unsafe, or has no mesh files.
        UsageError: ``sha256`` or ``url`` is not valid, or shapecnn did not write the existing .part file and
            ``overwrite`` is False.
        BusyError: Another process is writing to ``dest``.
        MismatchError: The existing folder was unpacked from a zip with another SHA-256.
        StoredDataError: The existing folder has fewer meshes than were unpacked.
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
                discard(part)  # a damaged download would make every later run fail
                raise type(error)(f"{error} The downloaded file was deleted: the next run starts over.") from None
            discard(part)
            return collection
    except OSError as error:
        raise DownloadError(
            f"The download failed at {error.filename or dest}: {error.strerror or error}. Free disk space or choose"
            " another folder, then run again: the bytes received so far are kept."
        ) from None


def _local_file(url: str) -> Path | None:
    """Return the path of a local file from a path or file:// URL; return None for a web address."""
    if url.lower().startswith(("http://", "https://")):
        return None
    if url.lower().startswith("file://"):
        path = Path(url2pathname(urlsplit(url).path))
    elif "://" in url:
        raise UsageError(f"{url} is neither a web address (http, https) nor a file. Check --url.")
    else:
        path = Path(url)
    if not path.is_file():
        raise UsageError(f"{path} does not exist or is not a file. Check --url.")
    return path


def _install(archive: Path, url: str, expected: str | None, target: Path, progress: Progress | None) -> Download:
    """Check the SHA-256 of a zip, unpack the zip into a temporary folder, and rename that folder to ``target``."""
    with stage(f"Checking {archive.name}"):
        sha256 = sha256_of(archive.resolve())
    if expected not in (None, sha256):
        raise DownloadError(
            f"{url} has the SHA-256 {sha256}, not {expected}: the file is damaged, or it is not the expected zip."
            f" If you trust the file, add --sha256 {sha256}."
        )
    work = target.parent / WORK
    discard_work(work)  # the temporary folder of a killed run
    claim(work)
    try:
        unpack(archive, work / target.name, progress)
        collection = _collection_root(work / target.name)
        try:
            shapes = len(list_shapes(collection, labels="none"))
        except CollectionError:
            raise ArchiveError(f"The zip {url} has no mesh files. Choose the zip of a collection of meshes.") from None
        origin = Origin(url, archive.stat().st_size, sha256)
        (collection / RECORD).write_bytes(json_bytes({**asdict(origin), "shapes": shapes}))
        collection.rename(target)
    finally:
        discard_work(work)
    return Download(target, shapes, origin, new=True)


def _collection_root(folder: Path) -> Path:
    """Return the folder that contains the class folders of an unpacked zip: ``folder``, or its only subfolder.

    A subfolder is a class, and not the root of the collection, if it contains only split folders (train, val, test).
    """
    entries = list(folder.iterdir())
    if len(entries) != 1 or not entries[0].is_dir():
        return folder
    inside = {entry.name for entry in entries[0].iterdir()}
    return folder if inside <= set(SPLITS) else entries[0]


def _check_existing(target: Path, expected: str | None) -> Download:
    """Return an existing collection, after a check that no meshes are missing and its zip had the expected SHA-256."""
    shapes = len(list_shapes(target, labels="none"))
    origin = None
    if (target / RECORD).exists():
        record = read_json(target / RECORD)
        if shapes < record.pop("shapes"):
            raise StoredDataError(
                f"{target} has fewer mesh files than were unpacked into it. Move the folder away and run again, or"
                " choose another folder."
            )
        origin = Origin(**record)
    if expected is not None and (origin is None or origin.sha256 != expected):
        raise MismatchError(
            f"{target} was unpacked from a zip whose SHA-256 is {origin.sha256 if origin else 'unknown'}, not"
            f" {expected}. Move the folder away, or choose another folder."
        )
    return Download(target, shapes, origin, new=False)
