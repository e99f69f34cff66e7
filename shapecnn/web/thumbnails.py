"""Draw small pictures of the shapes of a collection on demand, the latest requests first, and keep them.

Pictures are kept in memory and in a file of the user's cache folder. A full or damaged file is begun anew: everything
in it can be drawn again.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from shapecnn.errors import MeshError
from shapecnn.settings.views_and_grids import ViewSettings
from shapecnn.storage.caches import cache_folder
from shapecnn.web.files import THUMBNAIL, CollectionMesh, ThumbnailTask, to_thumbnail
from shapecnn.workers import pool
from shapecnn.workers.pool import Workers, available_cores

IN_MEMORY = 64 << 20  # bytes of the pictures in memory
ON_DISK = 200_000  # number of pictures on the disk, of about 2 KB each

Key = str
Stage = Literal["asked", "absent", "in hand"]


@dataclass(slots=True)
class _Request:
    """A picture that is not answered yet: ``asked``, ``absent`` from the disk, or ``in hand`` of a thread."""

    task: ThumbnailTask
    stage: Stage = "asked"
    future: Future[bytes | None] = field(default_factory=Future)


class Thumbnails:
    """Answers requests for thumbnails: one thread looks on the disk, and one for each worker process draws.

    So a picture that is kept, or another mesh, does not wait for a mesh that takes long.

    Args:
        workers: Number of worker processes, with their time and memory limits.
        kept: File of the pictures on the disk; None for the file in the user's cache folder.
    """

    def __init__(self, workers: Workers, kept: Path | None = None) -> None:
        self._workers = replace(workers, count=1)
        self._memory: OrderedDict[Key, bytes | None] = OrderedDict()
        self._size = 0
        self._requests: OrderedDict[Key, _Request] = OrderedDict()
        self._changed = threading.Condition()
        self._disk = _Disk(kept or cache_folder("thumbnails") / "pictures.sqlite")
        for work in (self._look, *[self._draw] * (workers.count or available_cores())):
            threading.Thread(target=work, name="thumbnails", daemon=True).start()

    def get(self, task: ThumbnailTask) -> Future[bytes | None]:
        """Return the thumbnail of a mesh of the collection.

        Args:
            task: The mesh, a :class:`CollectionMesh`.

        Returns:
            A future of the PNG; of None if the mesh is missing, has changed or cannot be drawn.
        """
        key = _key(task)
        with self._changed:
            if key in self._memory:
                self._memory.move_to_end(key)
                done: Future[bytes | None] = Future()
                done.set_result(self._memory[key])
                return done
            request = self._requests.setdefault(key, _Request(task))
            self._requests.move_to_end(key)  # the latest request is drawn first: it is what the user looks at
            self._changed.notify_all()
            return request.future

    async def drawn(self, task: ThumbnailTask) -> bytes | None:
        """Return the thumbnail of a mesh as :meth:`get` does; it is drawn and kept also if nobody waits any more."""
        return await asyncio.shield(asyncio.wrap_future(self.get(task)))

    def _take(self, stage: Stage) -> tuple[Key, ThumbnailTask] | None:
        """Take the latest request in a stage in hand, and return it; None if there is none."""
        with self._changed:
            for key, request in reversed(self._requests.items()):
                if request.stage == stage:
                    request.stage = "in hand"
                    return key, request.task
            return None

    def _wait(self, stage: Stage) -> None:
        with self._changed:
            self._changed.wait_for(lambda: any(request.stage == stage for request in self._requests.values()))

    def _look(self) -> None:
        while True:
            self._wait("asked")
            while taken := self._take("asked"):
                key, _ = taken
                stored = self._disk.load(key)
                if stored is not None:
                    self._finish(key, stored)
                    continue
                with self._changed:
                    self._requests[key].stage = "absent"
                    self._changed.notify_all()

    def _draw(self) -> None:
        while True:
            self._wait("absent")
            taken: list[Key] = []
            try:
                with closing(pool.run(to_thumbnail, self._tasks(taken), self._workers)) as outcomes:
                    for task, outcome in outcomes:
                        key = _key(task)
                        if isinstance(outcome, bytes):
                            self._disk.store(key, outcome)
                        taken.remove(key)
                        self._finish(key, outcome)
            except Exception as error:  # no worker can be started: the requests in hand have no picture
                for key in taken:
                    self._finish(key, error)

    def _tasks(self, taken: list[Key]) -> Iterator[ThumbnailTask]:
        """Yield the meshes to draw, the latest first, until none is wanted."""
        while request := self._take("absent"):
            key, task = request
            taken.append(key)
            yield task

    def _finish(self, key: Key, outcome: bytes | Exception) -> None:
        picture = outcome if isinstance(outcome, bytes) else None
        lasting = isinstance(outcome, MeshError) and outcome.kind not in ("missing", "unreadable")
        with self._changed:
            future = self._requests.pop(key).future
            if picture is not None or lasting:  # other failures may pass: a busy machine, a drive that is away
                self._memory[key] = picture
                self._size += len(picture or b"")
            while self._size > IN_MEMORY:
                _, oldest = self._memory.popitem(last=False)
                self._size -= len(oldest or b"")
        with contextlib.suppress(Exception):  # the request may have been cancelled
            future.set_result(picture)


def _key(task: ThumbnailTask) -> Key:
    assert isinstance(task.mesh, CollectionMesh)
    return f"{ViewSettings().drawing} {THUMBNAIL} {task.up} {task.orientation} {task.mesh.sha256}"


_TRIM = "DELETE FROM pictures WHERE rowid <= (SELECT max(rowid) FROM pictures) - ?"


class _Disk:
    """Pictures in a file of SQLite, which several servers may share. Every failure means: not kept."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._stored = 0

    def load(self, key: Key) -> bytes | None:
        """Return the picture; None if it is not there."""
        for (picture,) in self._execute("SELECT png FROM pictures WHERE key = ?", key):
            if isinstance(picture, bytes) and picture.startswith(b"\x89PNG"):
                return picture
        return None

    def store(self, key: Key, picture: bytes) -> None:
        """Keep a picture, and remove the oldest if there are more than :data:`ON_DISK`."""
        self._execute("INSERT OR REPLACE INTO pictures VALUES (?, ?)", key, picture)
        self._stored += 1
        if self._stored % 1000 == 0:
            self._execute(_TRIM, ON_DISK)

    def _execute(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        """Run one statement and return its rows: none if the file cannot be used. A damaged file is removed."""
        with self._lock:
            try:
                return (self._connection or self._open()).execute(statement, values).fetchall()
            except (sqlite3.OperationalError, OSError):  # a full disk, another server, or the file was deleted
                self._close()
            except sqlite3.Error:  # damaged
                self._close()
                with contextlib.suppress(OSError):
                    self._path.unlink()
            return []

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self._path, timeout=1, isolation_level=None, check_same_thread=False)
        self._connection = connection  # closed if one of these fails
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("CREATE TABLE IF NOT EXISTS pictures (key TEXT UNIQUE, png BLOB)")
        connection.execute(_TRIM, [ON_DISK])  # also for servers that store few pictures
        return connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
