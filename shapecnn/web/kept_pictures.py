"""Keep thumbnails in a file of the user's cache folder.

A full or damaged file is begun anew: everything in it can be drawn again.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from pathlib import Path

from shapecnn.settings.views_and_grids import ViewSettings
from shapecnn.storage.caches import cache_folder
from shapecnn.web.files import THUMBNAIL, CollectionMesh, ThumbnailTask

ON_DISK = 200_000  # number of pictures on the disk, of about 2 KB each
_TRIM = "DELETE FROM pictures WHERE rowid <= (SELECT max(rowid) FROM pictures) - ?"


def picture_key(task: ThumbnailTask) -> str:
    """Return the key of a thumbnail: it names the mesh by its content, and how it is drawn."""
    assert isinstance(task.mesh, CollectionMesh)
    return f"{ViewSettings().drawing} {THUMBNAIL} {task.up} {task.orientation} {task.mesh.sha256}"


class KeptPictures:
    """Pictures in a file of SQLite, which several servers may share. Every failure means: not kept.

    Args:
        path: The file; None for the file in the user's cache folder.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or cache_folder("thumbnails") / "pictures.sqlite"
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._stored = 0

    def load(self, key: str) -> bytes | None:
        """Return the picture; None if it is not there."""
        for (picture,) in self._execute("SELECT png FROM pictures WHERE key = ?", key):
            if isinstance(picture, bytes) and picture.startswith(b"\x89PNG"):
                return picture
        return None

    def store(self, key: str, picture: bytes) -> None:
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
