"""Draw small pictures of the shapes of a collection on demand, the latest requests first, and keep them.

Pictures are kept in memory and in a file of the user's cache folder. A full or damaged file is begun anew: everything
in it can be drawn again.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path

from shapecnn.errors import ItemError, ShapecnnError
from shapecnn.settings.views_and_grids import ViewSettings
from shapecnn.storage.caches import cache_folder
from shapecnn.web.files import THUMBNAIL, CollectionMesh, ThumbnailTask, to_thumbnail
from shapecnn.workers import pool
from shapecnn.workers.pool import Workers

IN_MEMORY = 64 << 20  # bytes of the pictures in memory
ON_DISK = 200_000  # number of pictures on the disk, of about 2 KB each

Key = str


class Thumbnails:
    """Draws thumbnails in worker processes, in a thread of its own.

    Args:
        workers: Number of worker processes, with their time and memory limits.
        kept: File of the pictures on the disk; None for the file in the user's cache folder.
    """

    def __init__(self, workers: Workers, kept: Path | None = None) -> None:
        self._workers = workers
        self._memory: OrderedDict[Key, bytes | None] = OrderedDict()
        self._size = 0
        self._wanted: OrderedDict[Key, tuple[ThumbnailTask, Future[bytes | None]]] = OrderedDict()
        self._changed = threading.Condition()
        self._disk = _Disk(kept or cache_folder("thumbnails") / "pictures.sqlite")
        threading.Thread(target=self._draw_all, name="thumbnails", daemon=True).start()

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
            _, future = self._wanted.setdefault(key, (task, Future()))
            self._wanted.move_to_end(key)  # the latest request is drawn first: it is what the user looks at
            self._changed.notify()
            return future

    def _draw_all(self) -> None:
        while True:
            with self._changed:
                while not self._wanted:
                    self._changed.wait()
            taken: dict[Key, Future[bytes | None]] = {}
            try:
                with closing(pool.run(to_thumbnail, self._take(taken), self._workers)) as outcomes:
                    for task, outcome in outcomes:
                        drawn = None if isinstance(outcome, ItemError) else outcome
                        if drawn is not None:
                            self._disk.store(_key(task), drawn)
                        self._finish(_key(task), drawn, taken)
            except (ShapecnnError, OSError):  # no worker can be started: the requests in hand have no picture
                for key in [*taken]:
                    self._finish(key, None, taken)

    def _take(self, taken: dict[Key, Future[bytes | None]]) -> Iterator[ThumbnailTask]:
        """Yield the meshes to draw, the latest first, and answer the others from the disk, until none is wanted."""
        while True:
            with self._changed:
                if not self._wanted:
                    return
                key, (task, future) = self._wanted.popitem()
                taken[key] = future
            stored = self._disk.load(key)
            if stored is None:
                yield task
            else:
                self._finish(key, stored, taken)

    def _finish(self, key: Key, picture: bytes | None, taken: dict[Key, Future[bytes | None]]) -> None:
        with self._changed:
            self._memory[key] = picture
            self._size += len(picture or b"")
            while self._size > IN_MEMORY:
                _, oldest = self._memory.popitem(last=False)
                self._size -= len(oldest or b"")
        with contextlib.suppress(Exception):  # the request may have been cancelled
            taken.pop(key).set_result(picture)


def _key(task: ThumbnailTask) -> Key:
    assert isinstance(task.mesh, CollectionMesh)
    return f"{ViewSettings().drawing} {THUMBNAIL} {task.up} {task.orientation} {task.mesh.sha256}"


class _Disk:
    """Pictures in a file of SQLite, which several servers may share. Every failure means: not kept."""

    def __init__(self, path: Path) -> None:
        self._path = path
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
            self._execute("DELETE FROM pictures WHERE rowid <= (SELECT max(rowid) FROM pictures) - ?", ON_DISK)

    def _execute(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        """Run one statement and return its rows: none if the file cannot be used. A damaged file is removed."""
        try:
            if self._connection is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._connection = sqlite3.connect(self._path, timeout=1, isolation_level=None, check_same_thread=False)
                self._connection.execute("PRAGMA synchronous = OFF")
                self._connection.execute("CREATE TABLE IF NOT EXISTS pictures (key TEXT UNIQUE, png BLOB)")
            return self._connection.execute(statement, values).fetchall()
        except (sqlite3.OperationalError, OSError):  # the disk is full, or another server holds the file
            return []
        except sqlite3.DatabaseError:  # damaged
            with contextlib.suppress(OSError):
                self._path.unlink()
            self._connection = None
            return []
