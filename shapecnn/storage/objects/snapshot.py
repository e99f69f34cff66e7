"""Read a published folder from an object store: one version of it, through the cache on the local disk."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from shapecnn.errors import ShapecnnError
from shapecnn.storage.atomic import create
from shapecnn.storage.objects import cache
from shapecnn.storage.objects.heads import (
    OBJECTS,
    REPUBLISH,
    DamagedError,
    Head,
    Location,
    Table,
    latest_number,
    read_head,
    read_table,
)
from shapecnn.storage.objects.store import BLOCK, read_range
from shapecnn.storage.objects.url import Url
from shapecnn.storage.reading import sha256_of
from shapecnn.workers.progress import stage

_FRESH = 5.0  # seconds in which the latest version is not looked up again
_LARGE = 64 << 20  # bytes from which the progress of a file is shown
_AT_ONCE = 16  # files of one object each that are read at once

_fetching = threading.Lock()  # of neighbours that threads ask for, one reads all; the others find them in the cache


class Snapshot:
    """One version of a published folder, whose files are fetched when they are first needed.

    Attributes:
        url: Prefix of the published folder.
        head: Head of the version.
        table: Location of each file.
    """

    def __init__(self, url: Url, head: Head, table: Table) -> None:
        self.url = url
        self.head = head
        self.table = table
        self._names = [*table]
        self._places = {name: place for place, name in enumerate(self._names)}
        self._next = 0  # place of the file that follows the last fetched one

    def path(self, name: str) -> Path:
        """Return the local path of a file, after fetching it if it is not in the cache.

        Files that follow it in the order of their paths are fetched with it, because they are often read next: those
        that lie together in a shard by one request. If all files are more than the cache may hold, this is done only
        while files are read in their order.

        Args:
            name: Path of the file relative to the folder.

        Returns:
            The path of a file that must only be read; nothing is there if the folder has no such file.

        Raises:
            StoredDataError: The content in the store is not what was published, or it is gone.
            ObjectStoreError: The store cannot be reached, or refuses.
        """
        location = self.table.get(name)
        if location is None:
            return cache.absent_file()
        path = cache.kept_file(location.sha256)
        if not cache.touch(path):
            with _fetching:
                if not path.exists():
                    self._fetch(name)
        return path

    def copy(self, name: str, target: Path) -> None:
        """Copy a file to a local path, and check its hash.

        Args:
            name: Path of the file relative to the folder.
            target: Where to write it.

        Raises:
            StoredDataError: The content in the store is not what was published, or it is gone.
            ObjectStoreError: The store cannot be reached, or refuses.
            OSError: The file cannot be written.
        """
        shutil.copyfile(self.path(name), target)
        if sha256_of(target) != self.table[name].sha256:  # the copy in the cache was damaged
            self.forget(name)
            shutil.copyfile(self.path(name), target)

    def forget(self, name: str) -> None:
        """Remove a file from the cache, because its content is not what it was.

        Args:
            name: Path of the file relative to the folder.
        """
        if name in self.table:
            cache.kept_file(self.table[name].sha256).unlink(missing_ok=True)

    def _fetch(self, name: str) -> None:
        first = self.table[name]
        if first.size > BLOCK:
            self._fetch_large(name, first)
            return
        together = [*self._following(name)]
        self._next = self._places[name] + len(together)
        if first.in_shard:
            end = together[-1].offset + together[-1].size
            block = self._read(first, first.offset, end - first.offset)
            starts = [each.offset - first.offset for each in together]
            contents = [block[start : start + each.size] for start, each in zip(starts, together, strict=True)]
        else:
            with ThreadPoolExecutor(_AT_ONCE) as readers:
                beside = readers.map(self._read_if_whole, together[1:])
                contents = [self._read(first, 0, first.size), *beside]
        cache.make_room(sum(map(len, contents)))
        for each, content in zip(together[1:], contents[1:], strict=True):
            cache.keep(each.sha256, content)  # if it is another content, who reads it is told
        if not cache.keep(first.sha256, contents[0]):  # last: the newest files of the cache are removed last
            raise self._changed(first)

    def _following(self, name: str) -> Iterator[Location]:
        """Yield the location of a file, and of those after it that are fetched with it."""
        place = self._places[name]
        first = self.table[name]
        yield first
        kept = cache.allowed()
        if place != self._next and self.head.size > kept:
            return
        end, size = first.offset + first.size, first.size
        stop = len(self._names) if first.in_shard else min(place + _AT_ONCE, len(self._names))
        for following in range(place + 1, stop):
            each = self.table[self._names[following]]
            size = each.offset + each.size - first.offset if first.in_shard else size + each.size
            beside = each.object == first.object and each.offset >= end if first.in_shard else not each.in_shard
            if not beside or size > min(BLOCK, kept) or cache.kept_file(each.sha256).exists():
                return
            end = each.offset + each.size
            yield each

    def _fetch_large(self, name: str, location: Location) -> None:
        """Fetch a file in blocks, so that it does not have to fit into memory."""
        path = cache.kept_file(location.sha256)
        cache.make_room(location.size)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{os.getpid()}-{location.sha256[:16]}.tmp")
        size = location.size
        shown = f"Fetching {self.url / name} ({size / 1e6:,.0f} MB)" if size >= _LARGE else f"Fetching {name}"
        digest = hashlib.sha256()
        try:
            with create(temporary) as file, stage(shown, "bytes") as progress:
                for start in range(0, size, BLOCK):
                    block = self._read(location, location.offset + start, min(BLOCK, size - start))
                    digest.update(block)
                    file.write(block)
                    progress(min(start + BLOCK, size), size)
            if digest.hexdigest() != location.sha256:
                raise self._changed(location)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    def _changed(self, location: Location) -> DamagedError:
        place = self.url / OBJECTS / location.object
        return DamagedError(f"{place} has changed since it was published (a hash differs). {REPUBLISH}")

    def _read(self, location: Location, start: int, size: int) -> bytes:
        if not size:
            return b""
        try:
            return read_range(self.url / OBJECTS / location.object, start, size)
        except FileNotFoundError:
            raise DamagedError(
                f"{self.url} was replaced while it was read, or objects in it were lost. Run the command again; if "
                f"that does not help, publish again with the command that made it and --overwrite."
            ) from None

    def _read_if_whole(self, location: Location) -> bytes:
        try:
            return self._read(location, 0, location.size)
        except ShapecnnError:
            return b""


_latest: dict[Url, tuple[float, Snapshot | None]] = {}


def latest(url: Url, fresh: bool = False) -> Snapshot | None:
    """Return the latest version of a published folder; for some seconds, this process is given the same version.

    Args:
        url: Prefix of the published folder.
        fresh: Look up the latest version in any case.

    Returns:
        The version; None if nothing is published there.

    Raises:
        StoredDataError: The head or the table is damaged.
        ObjectStoreError: The store cannot be reached, or refuses.
    """
    looked, known = _latest.get(url, (0.0, None))
    if fresh or not looked or time.monotonic() - looked > _FRESH:
        _latest[url] = time.monotonic(), _look_up(url, known)
    return _latest[url][1]


def _look_up(url: Url, known: Snapshot | None) -> Snapshot | None:
    for _ in range(3):
        number = latest_number(url)
        if not number:
            return None
        try:
            head = read_head(url, number)
            if known is not None and known.head == head:
                return known
            return Snapshot(url, head, read_table(url, head))
        except FileNotFoundError:  # two more versions were published in between
            continue
    raise DamagedError(f"{url} lacks objects that its latest version names. {REPUBLISH}")
