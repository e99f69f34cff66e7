"""Publish a local folder in an object store, as a new version that readers see whole or not at all."""

from __future__ import annotations

import functools
import hashlib
import re
import secrets
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sized
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from shapecnn.errors import BusyError, ObjectStoreError, StoredDataError, UsageError, caution
from shapecnn.storage.objects import heads
from shapecnn.storage.objects.heads import OBJECTS, Head, Location, head_url
from shapecnn.storage.objects.shards import size_in_shard, write_shards
from shapecnn.storage.objects.snapshot import Snapshot, latest
from shapecnn.storage.objects.store import BLOCK, create_object, delete_objects, list_objects, write_object
from shapecnn.storage.objects.url import Url
from shapecnn.storage.reading import open_stored, sha256, sha256_of
from shapecnn.workers.progress import stage

_AT_ONCE = 8  # objects that are written at once
_WAITING = 256  # objects that wait to be written
_LEAST_USE = 0.5  # a shard is kept if at least this share of its bytes is still needed
_DELETED_AT_ONCE = 1000


def upload(
    folder: Path,
    sums: Mapping[str, str],
    url: Url,
    base: Snapshot | None,
    number: int,
    shard_names: Mapping[str, str],
) -> None:
    """Publish the files of a folder as a new version.

    Objects that ``base`` names, or that an interrupted upload of the same version has written, are not written again.

    Args:
        folder: The local folder.
        sums: SHA-256 (hex) of each file to publish, by relative path.
        url: Prefix to publish at.
        base: The version that is published now; None if there is none, or it is damaged.
        number: Number of the new version.
        shard_names: Name in a tar shard of each file that is packed, by relative path. Other files are objects.

    Raises:
        UsageError: There are too many files for one table.
        BusyError: Another writer has published a version since ``base``.
        StoredDataError: A file has not the hash that ``sums`` says.
        ObjectStoreError: The store cannot be reached, or refuses.
        OSError: A file cannot be read.
    """
    placeholders = {name: Location(0, digest, digest, 0) for name, digest in sums.items()}
    _require_fits(heads.table_bytes(placeholders), sums, url)  # before hours of uploading
    writer = _Writer(folder, url, number)
    packed = {name for name in sums if name in shard_names}
    table = _reused(base, sums, packed)
    with stage(f"Uploading to {url}", "files") as progress, ThreadPoolExecutor(_AT_ONCE) as writers:
        done = 0
        missing = [name for name in sorted(sums) if name not in table]
        single = [name for name in missing if name not in packed]
        for start in range(0, len(single), _WAITING):
            names = single[start : start + _WAITING]
            tasks = [writers.submit(writer.write_file, name, sums[name]) for name in names]
            try:
                for name, task in zip(names, tasks, strict=True):
                    table[name] = task.result()
                    progress(done := done + 1, len(missing))
            except BaseException:  # an object that cannot be written, or an interruption: do not begin others
                writers.shutdown(wait=False, cancel_futures=True)
                raise
        for shard in writer.write_shards(sums, ((name, shard_names[name]) for name in missing if name in packed)):
            table |= shard
            progress(done := done + len(shard), len(missing))
    if base is not None and table == base.table:
        return
    head = writer.write_head(table, base.head.table.sha256 if base is not None else None)
    _remove_unnamed(url, head, {each.object for each in table.values()}, base)
    latest(url, fresh=True)


def _require_fits(table: bytes, names: Sized, url: Url) -> None:
    if len(table) > heads.LARGEST_TABLE:
        raise UsageError(f"{len(names):,} files are too many for {url}: publish parts of the collection apart.")


def _reused(base: Snapshot | None, sums: Mapping[str, str], packed: set[str]) -> dict[str, Location]:
    """Return the locations of the files whose content the published version has, stored in the same way."""
    held: dict[tuple[str, bool], Location] = {}
    ends: dict[str, int] = {}
    for each in base.table.values() if base is not None else ():
        held[each.sha256, each.in_shard] = each
        ends[each.object] = max(ends.get(each.object, 0), each.offset + size_in_shard(each.size))
    found = {name: held[digest, name in packed] for name, digest in sums.items() if (digest, name in packed) in held}
    used: dict[str, int] = {}
    for location in {*found.values()}:
        used[location.object] = used.get(location.object, 0) + size_in_shard(location.size)
    return {
        name: each
        for name, each in found.items()
        if not each.in_shard or used[each.object] >= _LEAST_USE * ends[each.object]
    }


class _Writer:
    """Writes the objects of one version.

    Attributes:
        number: Number of the version.
        names: Names and sizes of the objects that an interrupted upload of this version has written.
    """

    def __init__(self, folder: Path, url: Url, number: int) -> None:
        self._folder = folder
        self._url = url
        self.number = number
        self.names = {f"{number:08}/{name}": size for name, size in list_objects(url / OBJECTS / f"{number:08}")}

    def write_file(self, name: str, digest: str) -> Location:
        """Write a file as an object, and return its location."""
        suffix = PurePosixPath(name).suffix.lower()
        suffix = suffix if re.fullmatch(r"\.[a-z0-9]{1,16}", suffix) and suffix != ".tar" else ""
        return self._write(self._folder / name, digest, suffix)

    def write_shards(self, sums: Mapping[str, str], files: Iterable[tuple[str, str]]) -> Iterator[heads.Table]:
        """Write files as shards; yield the location of each file of a shard."""
        with tempfile.TemporaryDirectory(dir=self._folder.parent) as scratch:
            shard = Path(scratch) / "shard.tar"
            for packed in write_shards(self._folder, files, shard):
                for each in packed:
                    _require(self._folder / each.path, each.sha256, sums[each.path])
                held = self._write(shard, sha256_of(shard), ".tar").object
                yield {each.path: Location(each.size, each.sha256, held, each.offset) for each in packed}

    def write_head(self, table: heads.Table, parent: str | None) -> Head:
        """Write the table of files, then the head: from now on, readers see this version."""
        content = heads.table_bytes(table)
        _require_fits(content, table, self._url)
        name = f"{self.number:08}/{sha256(content)}.json"
        write_object(self._url / OBJECTS / name, content)
        where = Location(len(content), sha256(content), name, 0)
        size = sum(each.size for each in table.values())
        head = Head(self.number, where, len(table), size, secrets.token_hex(8), parent)
        place = head_url(self._url, self.number)
        if not create_object(place, head.content()):
            raise self._too_late()
        if self._was_late(head):
            delete_objects([place])
            raise self._too_late()
        return head

    def _was_late(self, head: Head) -> bool:
        """Return whether later versions were there before this head, so that no reader sees it.

        Several versions later, the head of its number is gone and could be created again. But the next version may also
        have been published since, from this head.
        """
        numbers = heads.head_numbers(self._url)
        if max(numbers, default=0) <= self.number:
            return False
        try:
            return heads.read_head(self._url, self.number + 1).parent != head.table.sha256
        except FileNotFoundError:  # who removes the next head removes this one with it, if it was there
            return self.number in numbers
        except StoredDataError:
            return False

    def _write(self, path: Path, digest: str, suffix: str) -> Location:
        name = f"{self.number:08}/{digest}{suffix}"
        size = path.stat().st_size
        if self.names.get(name) != size:
            blocks = functools.partial(_blocks, path, digest)
            write_object(self._url / OBJECTS / name, blocks if size > BLOCK else b"".join(blocks()))
            self.names[name] = size
        return Location(size, digest, name, 0)

    def _too_late(self) -> BusyError:
        return BusyError(
            f"Another shapecnn process has published at {self._url} in the meantime. Nothing of it was changed."
        )


def _blocks(path: Path, digest: str) -> Iterator[bytes]:
    """Yield a file in blocks, and raise StoredDataError at its end if what was read has another hash."""
    hashed = hashlib.sha256()
    with open_stored(path) as file:
        while block := file.read(BLOCK):
            hashed.update(block)
            yield block
    _require(path, hashed.hexdigest(), digest)


def _require(path: Path, actual: str, expected: str) -> None:
    """Raise StoredDataError if a file has not its hash: no object may have the name of another content."""
    if actual != expected:
        raise StoredDataError(f"{path} has changed since it was written (its hash differs). Make it again.")


def _remove_unnamed(url: Url, head: Head, objects: set[str], base: Snapshot | None) -> None:
    """Remove older heads, and objects that neither the new version nor the one before it names.

    Readers of the version before may still be at work. Objects of later versions are not touched: a writer may be about
    to publish them.
    """
    objects = {*objects, head.table.object}
    if base is not None:
        objects |= {base.head.table.object, *(each.object for each in base.table.values())}
    try:
        stale = [head_url(url, number) for number in heads.head_numbers(url) if number < head.number - 1]
        for name, _ in list_objects(url / OBJECTS):
            if name not in objects and re.fullmatch(r"[0-9]{8}/[^/]+", name) and int(name[:8]) <= head.number:
                stale.append(url / OBJECTS / name)
        for start in range(0, len(stale), _DELETED_AT_ONCE):
            delete_objects(stale[start : start + _DELETED_AT_ONCE])
    except ObjectStoreError as error:
        caution(f"{url} is published, but objects that are not needed any more could not be removed: {error}")
