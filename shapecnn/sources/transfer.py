"""Download a file from a web server, and resume an interrupted download.

The download loop uses the library requests directly, because no other library resumes safely. pooch cannot resume, and
resumable-urlretrieve is unmaintained since 2018. pypdl and huggingface_hub resume without the header If-Range, so they
may join the halves of two versions of a file.
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

_TIMEOUT = (10, 60)  # limits in seconds: to connect, and to wait for the next bytes
_WAITS = (1, 2, 4, 8)  # seconds to wait before each retry after the transfer was interrupted
_CHUNK = 1 << 16  # bytes per read


def fetch(url: str, part: Path, progress: Progress | None = None) -> None:
    """Download a file; resume a partial download if the server still has the same version of the file.

    An interrupted transfer is retried from where it stopped. The download fails after several retries in a row that
    receive no new bytes; the bytes received before remain in ``part``.

    Args:
        url: Address of the file, http or https.
        part: Path of the file to write. If it is a partial download, the download is resumed.
        progress: Callback for progress: bytes received, and bytes in total (None if unknown).

    Raises:
        DownloadError: The server did not send the whole file. The message starts with the name of the host, so that
            callers can put "The server" before it.
        UsageError: ``url`` is not a web address.
        OSError: ``part`` cannot be written.
    """
    import requests
    from urllib3.exceptions import HTTPError as BodyError

    farthest = -1
    waits: Iterator[int] = iter(())  # no retry if the server does not answer the first request
    with requests.Session() as session:
        while True:
            try:
                return _transfer(session, url, part, progress)
            except (requests.RequestException, BodyError) as error:
                if isinstance(error, ValueError):
                    raise UsageError(f"{url} is not a web address: {error}. Check --url.") from None
                if isinstance(error, BodyError) and part.stat().st_size > farthest:
                    farthest, waits = part.stat().st_size, iter(_WAITS)
                wait = next(waits, None)
                if wait is None:
                    raise DownloadError(_describe(url, error)) from None
                time.sleep(wait)


def _transfer(session: requests.Session, url: str, part: Path, progress: Progress | None) -> None:
    """Send one HTTP request for the bytes that a partial download lacks, and append the bytes received to the file.

    Until the headers of the response are read, errors are exceptions of requests; after that, exceptions of urllib3.
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
            create(part).close()  # the server has another version of the file: the next request asks for the whole file
            raise IncompleteRead(0, size or 0)
        response.raise_for_status()
        if not partial:  # a new download, a changed file, or a server that cannot resume
            create(part).close()  # empty the file first: the JSON record must never describe bytes of another version
            offset, size, version = 0, response.raw.length_remaining, _version(response)
            _write_record(part, url, size, version)
        with part.open("ab") as file:
            # requests' iter_content would lose the start of a chunk if the connection breaks
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
    """Raise UsageError if a download to ``part`` would overwrite a file that :func:`fetch` did not write.

    Args:
        part: Path of the partial download. An absent or empty file raises no error.
        overwrite: Whether a file that shapecnn did not write may be overwritten. Symbolic links always raise an error.

    Raises:
        UsageError: ``part`` is a symbolic link, or shapecnn did not write ``part`` and ``overwrite`` is False.
    """
    if not os.path.lexists(part) or (part.is_file() and not part.is_symlink() and not part.stat().st_size):
        return
    if part.is_symlink() or not (overwrite or _record_path(part).is_file()):
        raise UsageError(
            f"The download would overwrite {part}, which shapecnn did not write. Move that file away, or choose another"
            " folder."
        )


def _resume_point(part: Path, url: str) -> tuple[int, int | None, str | None]:
    """Return the state of a partial download: bytes received, bytes in total, and version of the file on the server.

    The state is (0, None, None) if the download cannot be resumed. :func:`_version` explains the version.
    """
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
    """Return the path of the JSON file that stores the address, size and version of a partial download."""
    return part.with_name(f"{part.name}.json")


def discard(part: Path) -> None:
    """Delete a partial download and the JSON file that describes it.

    Args:
        part: Path of the partial download, which may be absent.
    """
    _record_path(part).unlink(missing_ok=True)
    part.unlink(missing_ok=True)


def _version(response: requests.Response) -> str | None:
    """Return the version of a file on the server: the strong ETag of the response, else its Last-Modified date.

    The header If-Range (RFC 9110, 13.1.5) takes either value.
    """
    etag = response.headers.get("ETag")
    return etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified")


def _continues(response: requests.Response, offset: int, version: str | None) -> bool:
    """Return whether a 206 response continues a partial download at byte ``offset`` with the same version of the file.

    The version must be checked, because some servers ignore the header If-Range.
    """
    begins = response.headers.get("Content-Range", "").startswith(f"bytes {offset}-")
    return begins and _version(response) in (version, None)


def _describe(url: str, error: Exception) -> str:
    """Return the error message of a failed download, which begins with the name of the host."""
    import requests

    host = url.split("/")[2]
    if isinstance(error, requests.HTTPError):
        return f"{host} answers {error.response.status_code} {error.response.reason} to {url}."
    if isinstance(error, requests.exceptions.SSLError):
        return f"{host} has no valid TLS certificate."
    if isinstance(error, requests.ConnectionError | requests.Timeout):
        return f"{host} does not answer."
    if isinstance(error, requests.RequestException):
        return f"{host} did not send {url}: {error}."
    return f"{host} interrupted the transfer of {url} again and again."
