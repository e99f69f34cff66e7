"""ModelNet from its official server, a mirror or a zip at hand: fetched with resume, checked, unpacked whole.

The transfer is our own loop over requests: pooch cannot resume, resumable-urlretrieve rests since 2018; pypdl
and huggingface_hub go on without If-Range, so a file that changes meanwhile ends up half old, half new.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

from shapecnn.collection import SPLITS, list_shapes
from shapecnn.errors import (
    ArchiveError,
    CollectionError,
    DownloadError,
    MismatchError,
    StoredDataError,
    UsageError,
)
from shapecnn.sources.archive import Progress, unpack
from shapecnn.storage import WORK, exclusive, json_bytes, read_json, write_atomic

if TYPE_CHECKING:
    import requests


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

_TIMEOUT = (10, 60)  # seconds for the connection, and between two pieces of the body
_WAITS = (1, 2, 4, 8)  # seconds before each new try to go on with a body that broke off
_CHUNK = 1 << 16  # bytes


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
        with exclusive(dest):
            if local is not None:
                return _install(local, url, expected, target, progress)
            part = dest / f"{name}.zip.part"
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
                _discard(part)  # or every later run would stumble over it
                raise type(error)(f"{error} The download is removed: the next run is a new start.") from None
            _discard(part)
            return made
    except OSError as error:
        raise DownloadError(
            f"{error.filename or dest}: {error.strerror or error}. Make room or choose another folder, and"
            " run again: what has come is kept."
        ) from None


def fetch(url: str, part: Path, progress: Progress | None = None) -> None:
    """Fetch ``url`` into the file ``part``, going on from what an earlier call left of the same version.

    A body that breaks off is taken up where it stopped, until several tries in a row bring nothing new. On
    every error ``part`` keeps what has come. Raises DownloadError (its text goes on after "The server"),
    UsageError if ``url`` is no web address, and OSError if ``part`` cannot be written.
    """
    import requests
    from urllib3.exceptions import HTTPError as BodyError

    farthest = -1
    waits: Iterator[int] = iter(())  # a server that does not answer to begin with is not waited for
    with requests.Session() as session:
        while True:
            try:
                return _transfer(session, url, part, progress)
            except (requests.RequestException, BodyError) as error:
                if isinstance(error, ValueError):
                    raise UsageError(f"{url} is no web address: {error}.") from None
                if isinstance(error, BodyError) and part.stat().st_size > farthest:
                    farthest, waits = part.stat().st_size, iter(_WAITS)
                wait = next(waits, None)
                if wait is None:
                    raise DownloadError(_explain(url, error)) from None
                time.sleep(wait)


def _transfer(session: requests.Session, url: str, part: Path, progress: Progress | None) -> None:
    """One request for what ``part`` lacks.  Raises errors of requests before the body, of urllib3 in it."""
    from urllib3.exceptions import IncompleteRead

    have, size, version = _resumable(part, url)
    if have and have == size:
        return
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": str(version)}
    with session.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
        rest = have > 0 and response.status_code == 206
        if have and (response.status_code == 416 or (rest and not _continues(response, have, size, version))):
            part.write_bytes(b"")  # the server disagrees about what we have: the next request is for all of it
            raise IncompleteRead(0, size or 0)
        response.raise_for_status()
        if not rest:  # the first request, a file that has changed, or a server that knows no ranges
            part.write_bytes(b"")  # before the note, which must never describe other bytes
            have, size, version = 0, response.raw.length_remaining, _version(response)
            _note(part, url, size, version)
        with part.open("ab") as file:
            # iter_content would lose what it has gathered of a chunk when the connection breaks
            for chunk in response.raw.stream(_CHUNK, decode_content=False):
                file.write(chunk)
                have += len(chunk)
                if progress is not None:
                    progress(have, size)
    if size is None:
        _note(part, url, have, version)
    elif have != size:
        raise IncompleteRead(have, size - have)


def _resumable(part: Path, url: str) -> tuple[int, int | None, str | None]:
    """Bytes of ``url`` that ``part`` has, bytes in all, version; (0, None, None) if it is of no use."""
    try:
        have = part.stat().st_size
        note = read_json(_note_of(part))
    except (OSError, StoredDataError):
        return 0, None, None
    if note["url"] != url or (note["version"] is None and have != note["size"]):
        return 0, None, None
    return have, note["size"], note["version"]


def _note(part: Path, url: str, size: int | None, version: str | None) -> None:
    write_atomic(_note_of(part), json_bytes({"url": url, "size": size, "version": version}))


def _note_of(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _discard(part: Path) -> None:
    _note_of(part).unlink(missing_ok=True)
    part.unlink(missing_ok=True)


def _version(response: requests.Response) -> str | None:
    """What If-Range may compare (RFC 9110, 13.1.5): a strong ETag, else the date of the last change."""
    etag = response.headers.get("ETag")
    return etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified")


def _continues(response: requests.Response, have: int, size: int | None, version: str | None) -> bool:
    """Whether a 206 answer begins where we stopped, in the same version: not every server heeds If-Range."""
    span = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
    return (
        span is not None
        and int(span[1]) == have
        and (size is None or span[2] in (str(size), "*"))
        and _version(response) in (version, None)
    )


def _explain(url: str, error: Exception) -> str:
    import requests

    host = url.split("/")[2]
    if isinstance(error, requests.HTTPError):
        return f"{host} answers {error.response.status_code} {error.response.reason} to {url}."
    if isinstance(error, requests.exceptions.SSLError):
        return f"{host} does not have a valid certificate."
    if isinstance(error, requests.ConnectionError | requests.Timeout):
        return f"{host} does not answer."
    if isinstance(error, requests.RequestException):
        return f"{host} cannot be used ({error})."
    return f"{host} breaks off the transfer of {url} again and again."


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
    with archive.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if expected not in (None, sha256):
        raise DownloadError(
            f"{url} has the SHA-256 {sha256}, not {expected}: it is damaged or another file."
            f" If it has changed and you trust it, add --sha256 {sha256}."
        )
    work = target.parent / WORK
    shutil.rmtree(work, ignore_errors=True)
    try:
        unpack(archive, work / target.name, progress)
        collection = _unwrapped(work / target.name)
        try:
            shapes = len(list_shapes(collection))
        except CollectionError:
            raise ArchiveError(f"{url} holds no mesh files: give the zip of a collection.") from None
        origin = Origin(url, archive.stat().st_size, sha256)
        (collection / RECORD).write_bytes(json_bytes({**asdict(origin), "shapes": shapes}))
        collection.rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
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
    shapes = len(list_shapes(target))
    origin = None
    if (target / RECORD).exists():
        record = read_json(target / RECORD)
        if shapes < record.pop("shapes"):
            raise StoredDataError(f"{target} has lost meshes since it was unpacked. Remove it and run again.")
        origin = Origin(**record)
    if expected is not None and (origin is None or origin.sha256 != expected):
        raise MismatchError(
            f"{target} came out of a zip whose SHA-256 is {origin.sha256 if origin else 'unknown'}, not"
            f" {expected}. Remove it, or choose another folder."
        )
    return Download(target, shapes, origin, new=False)
