"""Thumbnails: drawn once, kept on the disk, and never a reason to fail."""

from __future__ import annotations

import io
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from shapecnn.errors import MeshError, WorkerError
from shapecnn.web import kept_pictures, pictures, thumbnails
from shapecnn.web.desk import Desk
from shapecnn.web.files import THUMBNAIL, CollectionMesh, ThumbnailTask
from shapecnn.web.kept_pictures import KeptPictures, picture_key
from shapecnn.web.thumbnails import Thumbnails
from shapecnn.workers.pool import Workers
from shapecnn.workers.progress import no_progress


def test_a_thumbnail_shows_the_shape_and_is_kept(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "pictures.sqlite"
    drawn = Thumbnails(Workers(1), kept).get(desk.thumbnail_task(0)).result(60)
    assert drawn is not None
    picture = np.asarray(Image.open(io.BytesIO(drawn)))
    assert picture.shape == (THUMBNAIL, THUMBNAIL)
    assert 0.2 < (picture < 255).mean() < 0.95
    monkeypatch.setattr(thumbnails, "to_thumbnail", None)  # no worker could call it
    assert Thumbnails(Workers(1), kept).get(desk.thumbnail_task(0)).result(60) == drawn


def test_a_damaged_file_of_thumbnails_is_begun_anew(desk: Desk, tmp_path: Path) -> None:
    kept = tmp_path / "pictures.sqlite"
    kept.write_bytes(b"no database at all, but long enough to be taken for one" * 100)
    for _ in range(2):
        assert Thumbnails(Workers(1), kept).get(desk.thumbnail_task(1)).result(60) is not None


def test_a_mesh_that_has_changed_has_no_thumbnail(desk: Desk, tmp_path: Path) -> None:
    shape = desk.shape(0)
    task = ThumbnailTask(CollectionMesh(shape.source, "0" * 64), "z", "upright")
    assert Thumbnails(Workers(1), tmp_path / "pictures.sqlite").get(task).result(60) is None


PICTURE = b"\x89PNG picture"


class Pool:
    """In place of the pool of worker processes: each task waits for its turn, and then has an outcome."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.drawn: list[str] = []
        self.outcome: Callable[[], Any] = lambda: PICTURE
        self.begun, self.go = threading.Event(), threading.Event()
        self.slow: set[str] = set()
        monkeypatch.setattr(thumbnails.pool, "run", self.run)

    def run(self, _: object, tasks: Iterable[ThumbnailTask], __: Workers) -> Iterator[tuple[ThumbnailTask, Any]]:
        for task in tasks:
            self.drawn.append(task.mesh.name)
            if task.mesh.name in self.slow:
                self.begun.set()
                assert self.go.wait(30)
            yield task, self.outcome()


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Pool:
    return Pool(monkeypatch)


def test_a_picture_that_is_asked_for_while_it_is_drawn_is_drawn_once(desk: Desk, tmp_path: Path, pool: Pool) -> None:
    pictures, task = Thumbnails(Workers(1), tmp_path / "pictures.sqlite"), desk.thumbnail_task(0)
    pool.slow = {task.mesh.name}
    first = pictures.get(task)
    assert pool.begun.wait(30)
    second = pictures.get(task)
    pool.go.set()
    assert first.result(30) == second.result(30) == PICTURE
    assert len(pool.drawn) == 1
    assert pictures._size == len(PICTURE)


def test_a_mesh_that_takes_long_holds_up_no_other_picture(desk: Desk, tmp_path: Path, pool: Pool) -> None:
    kept = tmp_path / "pictures.sqlite"
    slow, other, third, old = (desk.thumbnail_task(row) for row in range(4))
    assert Thumbnails(Workers(1), kept).get(old).result(30) == PICTURE  # now it is on the disk
    pool.slow = {slow.mesh.name, third.mesh.name}
    pictures = Thumbnails(Workers(2), kept)
    waiting = [pictures.get(slow)]
    assert pool.begun.wait(30)
    assert pictures.get(other).result(30) == PICTURE  # by the worker that is free
    waiting.append(pictures.get(third))
    assert pictures.get(old).result(30) == PICTURE  # from the disk, while both workers draw
    assert not any(each.done() for each in waiting)
    pool.go.set()
    assert [each.result(30) for each in waiting] == [PICTURE, PICTURE]


@pytest.mark.parametrize(
    ("outcome", "drawn"),
    [
        (WorkerError("timeout", "too slow"), 2),
        (MeshError("missing", "gone"), 2),
        (MeshError("unreadable", "gone"), 2),
        (MeshError("no-faces", "empty"), 1),
    ],
)
def test_only_a_mesh_that_cannot_be_drawn_is_not_tried_again(
    outcome: Exception, drawn: int, desk: Desk, tmp_path: Path, pool: Pool
) -> None:
    pictures, task = Thumbnails(Workers(1), tmp_path / "pictures.sqlite"), desk.thumbnail_task(0)
    pool.outcome = lambda: outcome
    assert pictures.get(task).result(30) is None
    pool.outcome = lambda: PICTURE
    assert pictures.get(task).result(30) == (PICTURE if drawn == 2 else None)
    assert len(pool.drawn) == drawn


@pytest.mark.parametrize("error", [ValueError("unexpected"), OSError("no process")])
def test_after_any_failure_the_next_picture_is_drawn(error: Exception, desk: Desk, tmp_path: Path, pool: Pool) -> None:
    def fail() -> None:
        raise error

    pictures = Thumbnails(Workers(1), tmp_path / "pictures.sqlite")
    pool.outcome = fail
    assert pictures.get(desk.thumbnail_task(0)).result(30) is None
    pool.outcome = lambda: PICTURE
    assert pictures.get(desk.thumbnail_task(0)).result(30) == PICTURE


def test_the_folder_of_thumbnails_can_be_deleted_at_any_time(desk: Desk, tmp_path: Path, pool: Pool) -> None:
    kept = tmp_path / "thumbnails" / "pictures.sqlite"
    pictures = Thumbnails(Workers(1), kept)
    for row in range(3):
        assert pictures.get(desk.thumbnail_task(row)).result(30) == PICTURE
        if row == 0:
            shutil.rmtree(kept.parent)
    assert KeptPictures(kept).load(picture_key(desk.thumbnail_task(2))) == PICTURE


def test_the_oldest_pictures_are_removed_also_by_servers_that_store_few(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "pictures.sqlite"
    for number in range(5):
        KeptPictures(kept).store(str(number), PICTURE)
    monkeypatch.setattr(kept_pictures, "ON_DISK", 3)
    KeptPictures(kept).store("last", PICTURE)
    with closing(sqlite3.connect(kept)) as connection:
        assert [key for (key,) in connection.execute("SELECT key FROM pictures")] == ["2", "3", "4", "last"]


def test_the_pictures_of_a_map_are_drawn_once(
    desk: Desk, tmp_path: Path, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert Thumbnails(Workers(1)).get(desk.thumbnail_task(2)).result(30) == PICTURE  # by serve
    for _ in range(2):
        assert pictures.draw_pictures(desk.index, Workers(1), no_progress) == [PICTURE] * 9
    assert len(pool.drawn) == 9
