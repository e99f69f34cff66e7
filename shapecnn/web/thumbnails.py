"""Draw small pictures of the shapes of a collection on demand, the latest requests first, and keep them.

Pictures are kept in memory and, by :mod:`kept_pictures`, on the disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from shapecnn.errors import MeshError
from shapecnn.web.files import ThumbnailTask, to_thumbnail
from shapecnn.web.kept_pictures import KeptPictures, picture_key
from shapecnn.workers import pool
from shapecnn.workers.pool import Workers, available_cores

IN_MEMORY = 64 << 20  # bytes of the pictures in memory

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
        self._disk = KeptPictures(kept)
        for work in (self._look, *[self._draw] * (workers.count or available_cores())):
            threading.Thread(target=work, name="thumbnails", daemon=True).start()

    def get(self, task: ThumbnailTask) -> Future[bytes | None]:
        """Return the thumbnail of a mesh of the collection.

        Args:
            task: The mesh, a :class:`shapecnn.web.files.CollectionMesh`.

        Returns:
            A future of the PNG; of None if the mesh is missing, has changed or cannot be drawn.
        """
        key = picture_key(task)
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
                        key = picture_key(task)
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
