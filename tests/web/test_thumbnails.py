"""Thumbnails: drawn once, kept on the disk, and never a reason to fail."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shapecnn.web import thumbnails
from shapecnn.web.desk import Desk
from shapecnn.web.files import THUMBNAIL, CollectionMesh, ThumbnailTask
from shapecnn.web.thumbnails import Thumbnails
from shapecnn.workers.pool import Workers


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
