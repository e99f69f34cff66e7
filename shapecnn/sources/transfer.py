"""Fetch a file from a web server, continuing where an earlier transfer broke off.

The transfer is our own loop over requests: pooch cannot resume, and resumable-urlretrieve is unmaintained since 2018.
pypdl and huggingface_hub resume without If-Range, so that one file may hold halves of two versions.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from shapecnn.errors import DownloadError, StoredDataError, UsageError
from shapecnn.storage.atomic import create, write_atomic
from shapecnn.storage.reading import json_bytes, read_json
from shapecnn.workers.progress import Progress

if TYPE_CHECKING:
    import requests

_TIMEOUT = (10, 60)  # seconds to connect, and between two pieces of the body
_WAITS = (1, 2, 4, 8)  # seconds before each retry after the body broke off
_CHUNK = 1 << 16  # bytes


def fetch(url: str, part: Path, progress: Progress | None = None) -> None:
    """Fetch a file, continuing with the bytes that an earlier call received of the same version.

    A body that breaks off is resumed where it stopped, until several retries in a row bring nothing new. After an
    error ``part`` keeps the bytes received.

    Args:
        url: Address of the file, http or https.
        part: File to write to.
        progress: Receives the number of bytes received and the number in all, or None if the server does not say it.

    Raises:
        DownloadError: The server fails; the message continues a sentence that begins with "The server".
        UsageError: ``url`` is not a web address.
        OSError: ``part`` cannot be written.
    """
    import requests
    from urllib3.exceptions import HTTPError as BodyError

    farthest = -1
    waits: Iterator[int] = iter(())  # no retry for a server that does not answer the first request
    with requests.Session() as session:
        while True:
            try:
                return _transfer(session, url, part, progress)
            except (requests.RequestException, BodyError) as error:
                if isinstance(error, ValueError):
                    raise UsageError(f"{url} is not a web address: {error}.") from None
                if isinstance(error, BodyError) and part.stat().st_size > farthest:
                    farthest, waits = part.stat().st_size, iter(_WAITS)
                wait = next(waits, None)
                if wait is None:
                    raise DownloadError(_describe(url, error)) from None
                time.sleep(wait)


def _transfer(session: requests.Session, url: str, part: Path, progress: Progress | None) -> None:
    """Send one request for the bytes that ``part`` lacks.

    Raises errors of requests before the body, and of urllib3 while it is read.
    """
    from urllib3.exceptions import IncompleteRead

    offset, size, version = _resume_point(part, url)
    if offset and offset == size:
        return
    headers = {"Accept-Encoding": "identity"}
    if offset:
        headers |= {"Range": f"bytes={offset}-", "If-Range": str(version)}
    with session.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
        partial = offset > 0 and response.status_code == 206
        if offset and (response.status_code == 416 or (partial and not _continues(response, offset, version))):
            create(part).close()  # our bytes do not match the server's: the next request is for the whole file
            raise IncompleteRead(0, size or 0)
        response.raise_for_status()
        if not partial:  # the first request, a changed file, or a server without range requests
            create(part).close()  # before the record, which must never describe other bytes
            offset, size, version = 0, response.raw.length_remaining, _version(response)
            _write_record(part, url, size, version)
        with part.open("ab") as file:
            # iter_content would lose the beginning of a chunk when the connection breaks
            for chunk in response.raw.stream(_CHUNK, decode_content=False):
                file.write(chunk)
                offset += len(chunk)
                if progress is not None:
                    progress(offset, size)
    if size is None:
        _write_record(part, url, offset, version)
    elif offset != size:
        raise IncompleteRead(offset, size - offset)


def require_begun(part: Path, overwrite: bool = False) -> None:
    """Check that an existing partial download was written by :func:`fetch`.

    Args:
        part: The partial download; it may be absent or empty.
        overwrite: Accept any file, but still no link.

    Raises:
        UsageError: ``part`` is another file, or a link.
    """
    if not os.path.lexists(part) or (part.is_file() and not part.is_symlink() and not part.stat().st_size):
        return
    if part.is_symlink() or not (overwrite or _record_path(part).is_file()):
        raise UsageError(f"{part} was not written by shapecnn. Move it away, or choose another folder.")


def _resume_point(part: Path, url: str) -> tuple[int, int | None, str | None]:
    """Return the bytes of ``url`` in ``part``, the bytes in all and the version; (0, None, None) to start anew."""
    try:
        offset = part.stat().st_size
        record = read_json(_record_path(part))
    except (OSError, StoredDataError):
        return 0, None, None
    if record["url"] != url or (record["version"] is None and offset != record["size"]):
        return 0, None, None
    return offset, record["size"], record["version"]


def _write_record(part: Path, url: str, size: int | None, version: str | None) -> None:
    write_atomic(_record_path(part), json_bytes({"url": url, "size": size, "version": version}))


def _record_path(part: Path) -> Path:
    """Return the path of the file that holds address, size and version of a partial download."""
    return part.with_name(f"{part.name}.json")


def discard(part: Path) -> None:
    """Remove a partial download and its record.

    Args:
        part: The partial download; it may be absent.
    """
    _record_path(part).unlink(missing_ok=True)
    part.unlink(missing_ok=True)


def _version(response: requests.Response) -> str | None:
    """Return a validator for If-Range (RFC 9110, 13.1.5): a strong ETag, else the date of the last change."""
    etag = response.headers.get("ETag")
    return etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified")


def _continues(response: requests.Response, offset: int, version: str | None) -> bool:
    """Return whether a 206 response begins at ``offset`` in the same version: not every server heeds If-Range."""
    begins = response.headers.get("Content-Range", "").startswith(f"bytes {offset}-")
    return begins and _version(response) in (version, None)


def _describe(url: str, error: Exception) -> str:
    """Return the predicate of a sentence about the server."""
    import requests

    host = url.split("/")[2]
    if isinstance(error, requests.HTTPError):
        return f"{host} answers {error.response.status_code} {error.response.reason} to {url}."
    if isinstance(error, requests.exceptions.SSLError):
        return f"{host} has no valid certificate."
    if isinstance(error, requests.ConnectionError | requests.Timeout):
        return f"{host} does not answer."
    if isinstance(error, requests.RequestException):
        return f"{host} cannot be used ({error})."
    return f"{host} broke off the transfer of {url} again and again."
