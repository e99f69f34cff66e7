"""A file from a web server, fetched with resume.

The transfer is our own loop over requests: pooch cannot resume, resumable-urlretrieve rests since 2018; pypdl and
huggingface_hub go on without If-Range, so halves of two versions can end up in one file.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from shapecnn.errors import DownloadError, StoredDataError, UsageError
from shapecnn.storage.publishing import create, write_atomic
from shapecnn.storage.reading import json_bytes, read_json
from shapecnn.workers.progress import Progress

if TYPE_CHECKING:
    import requests

_TIMEOUT = (10, 60)  # seconds for the connection, and between two pieces of the body
_WAITS = (1, 2, 4, 8)  # seconds before each new try to go on with a body that broke off
_CHUNK = 1 << 16  # bytes


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
        if have and (response.status_code == 416 or (rest and not _continues(response, have, version))):
            create(part).close()  # the server disagrees about what we have: the next request is for all of it
            raise IncompleteRead(0, size or 0)
        response.raise_for_status()
        if not rest:  # the first request, a file that has changed, or a server that knows no ranges
            create(part).close()  # before the note, which must never describe other bytes
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


def require_begun(part: Path, overwrite: bool = False) -> None:
    """Raise UsageError if ``part`` is there and not what :func:`fetch` left; with ``overwrite`` only for a link."""
    if not os.path.lexists(part) or (part.is_file() and not part.is_symlink() and not part.stat().st_size):
        return
    if part.is_symlink() or not (overwrite or _note_of(part).is_file()):
        raise UsageError(f"{part} is not what shapecnn writes there. Move it away, or choose another folder.")


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


def discard(part: Path) -> None:
    """Remove ``part`` and what is noted of it."""
    _note_of(part).unlink(missing_ok=True)
    part.unlink(missing_ok=True)


def _version(response: requests.Response) -> str | None:
    """What If-Range may compare (RFC 9110, 13.1.5): a strong ETag, else the date of the last change."""
    etag = response.headers.get("ETag")
    return etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified")


def _continues(response: requests.Response, have: int, version: str | None) -> bool:
    """Whether a 206 answer begins where we stopped, in the same version: not every server heeds If-Range."""
    begins = response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
    return begins and _version(response) in (version, None)


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
