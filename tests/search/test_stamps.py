"""Stamps of mesh files: unchanged files are known again, and every way to change a file is noticed."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from shapecnn.meshes.collection import Shape
from shapecnn.search.stamps import SETTLED, Stamps, now, write_stamps

HASH = "ab" * 32
LATER = 10 * SETTLED  # as if the files had been written long before


@pytest.fixture
def shapes(tmp_path: Path) -> list[Shape]:
    found = []
    for name in ("a.off", "b.off", "c.off"):
        (tmp_path / name).write_bytes(name.encode())
        found.append(Shape(name, None, None, tmp_path / name))
    return found


def hashes(shapes: list[Shape]) -> dict[str, str]:
    return {shape.id: f"{number:064x}" for number, shape in enumerate(shapes, start=1)}


def test_unchanged_files_are_known_again(shapes: list[Shape], tmp_path: Path) -> None:
    write_stamps(tmp_path / "index", shapes, hashes(shapes), now() + LATER, tmp_path / "kept")
    stamps = Stamps.read(tmp_path / "index", tmp_path / "kept")
    assert len(stamps) == 3
    assert stamps.trusted(shapes) == hashes(shapes)
    assert len(Stamps.read(tmp_path / "another", tmp_path / "kept")) == 0


def test_a_file_with_another_size_or_time_is_not_known(shapes: list[Shape], tmp_path: Path) -> None:
    write_stamps(tmp_path / "index", shapes, hashes(shapes), now() + LATER, tmp_path / "kept")
    shapes[0].file.write_bytes(b"longer than before")
    status = os.stat(shapes[1].file)
    shapes[1].file.write_bytes(b"B.off")
    os.utime(shapes[1].file, ns=(status.st_atime_ns, status.st_mtime_ns))  # the time of a change cannot be set
    shapes.append(Shape("d.off", None, None, tmp_path / "d.off"))  # which does not exist
    known = Stamps.read(tmp_path / "index", tmp_path / "kept").trusted(shapes)
    assert known == {"c.off": hashes(shapes)["c.off"]}


def test_a_file_that_was_just_written_gets_no_stamp(shapes: list[Shape], tmp_path: Path) -> None:
    write_stamps(tmp_path / "index", shapes, hashes(shapes), now(), tmp_path / "kept")
    assert len(Stamps.read(tmp_path / "index", tmp_path / "kept")) == 0


def test_members_of_a_zip_have_the_stamp_of_the_zip(tmp_path: Path) -> None:
    zipped = tmp_path / "meshes.zip"
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("a.off", "one")
        archive.writestr("b.off", "two")
    shapes = [Shape(name, None, None, zipped, name) for name in ("a.off", "b.off")]
    write_stamps(tmp_path / "index", shapes, hashes(shapes), now() + LATER, tmp_path / "kept")
    stamps = Stamps.read(tmp_path / "index", tmp_path / "kept")
    assert stamps.trusted(shapes) == hashes(shapes)
    with zipfile.ZipFile(zipped, "a") as archive:
        archive.writestr("c.off", "three")
    assert stamps.trusted(shapes) == {}


@pytest.mark.parametrize("damage", [b"", b"x", None])
def test_damaged_stamps_are_no_stamps(shapes: list[Shape], tmp_path: Path, damage: bytes | None) -> None:
    write_stamps(tmp_path / "index", shapes, hashes(shapes), now() + LATER, tmp_path / "kept")
    (kept,) = (tmp_path / "kept").iterdir()
    content = kept.read_bytes()
    kept.write_bytes(content[:-1] + bytes([content[-1] ^ 1]) if damage is None else damage)
    assert Stamps.read(tmp_path / "index", tmp_path / "kept").trusted(shapes) == {}


def test_a_cache_that_cannot_be_written_is_no_error(shapes: list[Shape], tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("a file in place of the folder")
    write_stamps(tmp_path / "index", shapes, hashes(shapes), now() + LATER, tmp_path / "kept")
    assert len(Stamps.read(tmp_path / "index", tmp_path / "kept")) == 0
