"""Read, list and write single objects by obstore: retried with limits, and errors in one sentence.

Credentials and endpoints come from the environment variables that the tools of each provider use, such as
``AWS_ACCESS_KEY_ID`` and ``AWS_ENDPOINT_URL``, or from the machine's own role in the cloud.
"""

from __future__ import annotations

import functools
import os
import random
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, NamedTuple, TypeVar

from shapecnn.errors import MissingLibraryError, ObjectStoreError, quoted, visible
from shapecnn.storage.objects.environment import plain_http, require_variables
from shapecnn.storage.objects.url import Url

BLOCK = 8 << 20  # bytes of one request
_RETRIES = 4  # of one request, by obstore: after an error of the server, a refusal for being too fast, or a reset
_TRIES = 3  # of one reading: a response that breaks off is not retried by obstore
_REQUEST_SECONDS = 60
_RETRY_SECONDS = 60

_CREDENTIALS = {  # the usual environment variables of a scheme
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}
_NO_CREDENTIALS = ("169.254.169.254", "metadata.google.internal", "Account must be specified")
_SECRETS = re.compile(r"(?<=://)[^/\s]+(?=@)|(?<=\?)[^\s)\"<>]+")  # the password in an endpoint, a signed query

T = TypeVar("T")


def list_objects(url: Url) -> Iterator[tuple[str, int]]:
    """List all objects below a URL.

    Args:
        url: A bucket, or a prefix in it.

    Returns:
        Path of each object relative to ``url``, and its size in bytes, in no particular order.

    Raises:
        ObjectStoreError: The store cannot be reached, or refuses.
    """
    return ((each.name, each.size) for each in list_contents(url))


class Listed(NamedTuple):
    """An object, as a store lists it.

    Attributes:
        name: Path relative to the URL that was listed.
        size: Number of bytes.
        tag: Entity tag (ETag): another one if the content has changed; None if the store has none.
        modified: Time of the last change, in ns since 1970, as exactly as the store has it.
    """

    name: str
    size: int
    tag: str | None
    modified: int


def list_contents(url: Url) -> Iterator[Listed]:
    """List all objects below a URL, with what tells whether they have changed.

    Args:
        url: A bucket, or a prefix in it.

    Yields:
        The objects, in no particular order.

    Raises:
        ObjectStoreError: The store cannot be reached, or refuses.
    """
    obstore, store, key = _obstore(), _open(url.bucket, os.getpid()), url.key
    if url.local is not None and url.local.is_file():
        return  # as in a bucket: nothing is below an object
    start = len(key) + 1 if key else 0
    last: str | None = None
    attempt = 1
    while True:
        try:
            with _explained(url):
                for chunk in obstore.list(store, prefix=key or None, offset=last, chunk_size=1000):
                    for each in chunk:
                        modified = round(each["last_modified"].timestamp() * 1e6) * 1000
                        yield Listed(each["path"][start:], each["size"], each["e_tag"], modified)
                    last = chunk[-1]["path"]
                return
        except ObjectStoreError as error:  # go on after the last full answer
            if attempt == _TRIES or not error.may_pass or url.local is not None:  # a folder is not listed in order
                raise
        _wait(attempt)
        attempt += 1


def read_object(url: Url, most: int | None = None) -> bytes:
    """Read an object into memory.

    Args:
        url: URL of the object.
        most: Largest size in bytes; None for no limit.

    Raises:
        FileNotFoundError: There is no such object.
        ValueError: The object is larger than ``most``; the only argument of the error is its size.
        ObjectStoreError: The store cannot be reached, or refuses.
    """
    obstore, store = _obstore(), _open(url.bucket, os.getpid())

    def block(start: int, **conditions: Any) -> tuple[Any, bytes]:
        got = obstore.get(store, url.key, options={"range": (start, start + BLOCK), **conditions})
        return got.meta, bytes(got.bytes())

    try:
        meta, begun = _retried(url, lambda: block(0))
    except ObjectStoreError as error:
        may_be_empty = url.local is not None or "(416 " in str(error)  # an empty object has no bytes 0 to 8 MB
        if not may_be_empty or _retried(url, lambda: obstore.head(store, url.key))["size"]:
            raise
        return b""
    size = meta["size"]
    if most is not None and size > most:
        raise ValueError(size)
    same = {"if_match": meta["e_tag"]}  # not parts of two contents, if another replaces the object meanwhile
    blocks = (_retried(url, functools.partial(block, start, **same))[1] for start in range(BLOCK, size, BLOCK))
    return b"".join([begun, *blocks])


def read_range(url: Url, start: int, size: int) -> bytes:
    """Read ``size`` bytes of an object from position ``start``.

    Args:
        url: URL of the object.
        start: Position of the first byte.
        size: Number of bytes, at least 1.

    Raises:
        FileNotFoundError: There is no such object.
        ObjectStoreError: The store cannot be reached, or refuses.
    """
    obstore, store = _obstore(), _open(url.bucket, os.getpid())
    return _retried(url, lambda: bytes(obstore.get_range(store, url.key, start=start, length=size)))


def write_object(url: Url, content: bytes | Callable[[], Iterator[bytes]]) -> None:
    """Write an object, so that it is there as a whole or not at all.

    Args:
        url: URL of the object, which replaces one that is there.
        content: Content; or if it is large, a function that gives it in blocks. If one of them raises an error, no
            object is written.

    Raises:
        ObjectStoreError: The store cannot be reached, or refuses.
    """
    obstore, store = _obstore(), _open(url.bucket, os.getpid())

    def write() -> None:
        body = content if isinstance(content, bytes) else content()
        obstore.put(store, url.key, body, chunk_size=BLOCK, max_concurrency=4)

    _retried(url, write)


def create_object(url: Url, content: bytes) -> bool:
    """Write a small object unless there is one of this name.

    Args:
        url: URL of the object.
        content: Content, which no other writer would write.

    Returns:
        Whether the object now has this content.

    Raises:
        ObjectStoreError: The store cannot be reached, or refuses.
    """
    obstore, store = _obstore(), _open(url.bucket, os.getpid())
    try:
        _retried(url, lambda: obstore.put(store, url.key, content, mode="create"))
    except (FileExistsError, ObjectStoreError) as error:
        # Of a request whose answer was lost, nobody knows whether it was carried out: look.
        try:
            return read_object(url) == content
        except FileNotFoundError:
            raise error from None
    return True


def delete_objects(urls: Sequence[Url]) -> None:
    """Delete objects of one bucket; those that do not exist are skipped.

    Args:
        urls: URLs of the objects.

    Raises:
        ObjectStoreError: The store cannot be reached, or refuses.
    """
    if urls:
        obstore, store = _obstore(), _open(urls[0].bucket, os.getpid())
        try:
            _retried(urls[0], lambda: obstore.delete(store, [url.key for url in urls]))
        except FileNotFoundError:  # of a local folder: one of them was missing
            for url in urls if len(urls) > 1 else ():
                delete_objects([url])


@functools.lru_cache(maxsize=8)
def _open(bucket: str, _process: int) -> Any:
    """Open the store of a bucket; once in each process, because connections do not survive a fork."""
    obstore = _obstore()
    if bucket == "file:///":
        return obstore.store.LocalStore("/")
    require_variables(bucket)
    with _explained(bucket):
        return obstore.store.from_url(
            bucket,
            client_options={
                "allow_http": plain_http(),
                "connect_timeout": timedelta(seconds=10),
                "timeout": timedelta(seconds=_REQUEST_SECONDS),
            },
            retry_config={
                "max_retries": _RETRIES,
                "retry_timeout": timedelta(seconds=_RETRY_SECONDS),
                "backoff": {
                    "init_backoff": timedelta(seconds=0.2),
                    "max_backoff": timedelta(seconds=5),
                    "base": 2,
                },
            },
        )


def _obstore() -> Any:
    try:
        import obstore
        import obstore.exceptions
        import obstore.store
    except ImportError as error:
        raise MissingLibraryError(
            f"URLs of object storage need obstore ({error}): pip install 'shapecnn[objects]'"
        ) from None
    return obstore


def _retried(url: Url, request: Callable[[], T]) -> T:
    """Carry out a request; repeat it if a response breaks off, after which obstore does not ask again by itself."""
    for attempt in range(1, _TRIES):
        try:
            with _explained(url):
                return request()
        except ObjectStoreError as error:
            if not error.may_pass:
                raise
        _wait(attempt)
    with _explained(url):
        return request()


def _wait(attempt: int) -> None:
    time.sleep(0.2 * 2**attempt * (1 + random.random()))  # not at the same moment as other readers


@contextmanager
def _explained(url: Url | str) -> Iterator[None]:
    """Turn the errors of obstore into one sentence; a missing object stays a FileNotFoundError."""
    exceptions = _obstore().exceptions
    try:
        yield
    except FileNotFoundError as error:
        if "NoSuchBucket" in str(error) or "ContainerNotFound" in str(error):
            raise _failure(str(url), error) from None
        raise
    except exceptions.AlreadyExistsError:
        raise FileExistsError(str(url)) from None
    except (exceptions.BaseError, OSError, ValueError, NotImplementedError) as error:
        raise _failure(str(url), error) from None


def _failure(url: str, error: Exception) -> ObjectStoreError:
    exceptions = _obstore().exceptions
    text = _SECRETS.sub("…", " ".join(str(error).split("\n\nDebug source")[0].split()))
    text, retries = re.subn(r", after \d+ retries, max_retries: \d+, retry_timeout: \w+", "", text)
    code = re.search(r"<Code>(\w+)</Code>", text)
    status = re.search(r"status code: (\d+ [A-Z][\w ]*)", text)
    if any(part in text for part in _NO_CREDENTIALS):
        variables = _CREDENTIALS[url.partition(":")[0]]
        return ObjectStoreError(
            f"{url}: there are no credentials. Set the environment variables {variables} (docs/object-storage.md)."
        )
    denied = exceptions.PermissionDeniedError | exceptions.UnauthenticatedError | PermissionError
    if isinstance(error, denied) or (status and status[1].startswith(("401", "403"))):  # a list has only the status
        return ObjectStoreError(f"{url}: access is denied. Check the credentials and the rights on the bucket.")
    if code and code[1] in ("NoSuchBucket", "ContainerNotFound"):
        return ObjectStoreError(f"{url}: there is no such bucket. Check the name, or create the bucket.")
    if isinstance(error, exceptions.PreconditionError):
        return ObjectStoreError(f"{url}: the object was replaced while it was read. Run the command again.")
    if invalid := re.search(r"invalid path: [\w ]*\"(.*?)\"(?: contained|: )", text):
        return ObjectStoreError(
            f"{url}: the object {quoted(invalid[1])} has a name with a control character, or with a part that is "
            f"empty, '.' or '..', so it is no path. Rename the object, or choose a prefix without it."
        )
    detail = status[1].strip() + (f", {code[1]}" if code else "") if status else text[-160:]
    return ObjectStoreError(
        f"{url}: the object store did not answer as expected, also not when asked again ({visible(detail)}). Check "
        f"the endpoint and the connection, and run the command again.",
        may_pass=isinstance(error, exceptions.GenericError)
        and not retries  # then obstore has asked again as often as it should
        and not (status and status[1].startswith("4")),
    )
