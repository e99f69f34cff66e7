"""Stamps of mesh files: unchanged files are known again, and every way to change a file is noticed."""

from __future__ import annotations

import os
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from shapecnn.meshes.collection import Shape
from shapecnn.search import stamps as module
from shapecnn.search.stamps import Stamps, take_stamps, write_stamps
from shapecnn.storage.objects.store import write_object
from shapecnn.storage.objects.url import Url, as_path


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the files had been written long before."""
    monkeypatch.setattr(module, "SETTLED", -(10**10))


@pytest.fixture
def shapes(tmp_path: Path) -> list[Shape]:
    found = []
    for name in ("a.off", "b.off", "c.off"):
        (tmp_path / name).write_bytes(name.encode())
        found.append(Shape(name, None, None, tmp_path / name))
    return found


def hashes(shapes: list[Shape]) -> dict[str, str]:
    return {shape.id: f"{number:064x}" for number, shape in enumerate(shapes, start=1)}


@pytest.mark.usefixtures("settled")
def test_unchanged_files_are_known_again(shapes: list[Shape], tmp_path: Path) -> None:
    write_stamps(tmp_path / "index", take_stamps(shapes), hashes(shapes), tmp_path / "kept")
    stamps = Stamps.read(tmp_path / "index", tmp_path / "kept")
    assert len(stamps) == 3
    assert stamps.trusted(take_stamps(shapes)) == hashes(shapes)
    assert len(Stamps.read(tmp_path / "another", tmp_path / "kept")) == 0


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("url", [False, True])
def test_a_file_with_another_size_or_time_is_not_known(url: bool, shapes: list[Shape], tmp_path: Path) -> None:
    if url:
        shapes = [replace(shape, file=as_path(f"file://{shape.file}")) for shape in shapes]
    write_stamps(tmp_path / "index", take_stamps(shapes), hashes(shapes), tmp_path / "kept")
    (tmp_path / "a.off").write_bytes(b"longer than before")
    status = os.stat(tmp_path / "b.off")
    (tmp_path / "b.off").write_bytes(b"B.off")
    os.utime(tmp_path / "b.off", ns=(status.st_atime_ns, status.st_mtime_ns))  # the time of a change cannot be set
    shapes.append(Shape("d.off", None, None, tmp_path / "d.off"))  # which does not exist
    known = Stamps.read(tmp_path / "index", tmp_path / "kept").trusted(take_stamps(shapes))
    assert known == {"c.off": hashes(shapes)["c.off"]}


def test_a_file_that_was_just_written_gets_no_stamp(shapes: list[Shape], tmp_path: Path) -> None:
    write_stamps(tmp_path / "index", take_stamps(shapes), hashes(shapes), tmp_path / "kept")
    assert len(Stamps.read(tmp_path / "index", tmp_path / "kept")) == 0


@pytest.mark.usefixtures("settled")
def test_a_file_that_changes_while_it_is_hashed_is_not_known(shapes: list[Shape], tmp_path: Path) -> None:
    taken = take_stamps(shapes)
    shapes[0].file.write_bytes(b"A.off")
    write_stamps(tmp_path / "index", taken, hashes(shapes), tmp_path / "kept")
    known = Stamps.read(tmp_path / "index", tmp_path / "kept").trusted(take_stamps(shapes))
    assert known.keys() == {"b.off", "c.off"}


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("field", ["number", "size", "modified", "changed"])
def test_every_part_of_a_stamp_counts(shapes: list[Shape], tmp_path: Path, field: str) -> None:
    taken = take_stamps(shapes)
    write_stamps(tmp_path / "index", taken, hashes(shapes), tmp_path / "kept")
    taken["b.off"] = taken["b.off"]._replace(**{field: getattr(taken["b.off"], field) + 1})
    known = Stamps.read(tmp_path / "index", tmp_path / "kept").trusted(taken)
    assert known.keys() == {"a.off", "c.off"}


@pytest.mark.usefixtures("settled")
def test_another_file_of_the_same_size_and_times_is_not_known(shapes: list[Shape], tmp_path: Path) -> None:
    """File systems with coarse times give files that are written one after the other the same times."""
    (tmp_path / "other").mkdir()
    others = [replace(shape, file=tmp_path / "other" / shape.id) for shape in shapes]
    for shape in others:
        shape.file.write_bytes(b"other")
    one, other = take_stamps(shapes), take_stamps(others)
    write_stamps(tmp_path / "index", one, hashes(shapes), tmp_path / "kept")
    alike = {name: stamp._replace(number=other[name].number) for name, stamp in one.items()}
    assert Stamps.read(tmp_path / "index", tmp_path / "kept").trusted(alike) == {}


@pytest.mark.usefixtures("settled")
def test_members_of_a_zip_have_the_stamp_of_the_zip(tmp_path: Path) -> None:
    zipped = tmp_path / "meshes.zip"
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("a.off", "one")
        archive.writestr("b.off", "two")
    shapes = [Shape(name, None, None, zipped, name) for name in ("a.off", "b.off")]
    write_stamps(tmp_path / "index", take_stamps(shapes), hashes(shapes), tmp_path / "kept")
    stamps = Stamps.read(tmp_path / "index", tmp_path / "kept")
    assert stamps.trusted(take_stamps(shapes)) == hashes(shapes)
    with zipfile.ZipFile(zipped, "a") as archive:
        archive.writestr("c.off", "three")
    assert stamps.trusted(take_stamps(shapes)) == {}


@pytest.mark.parametrize("damage", [b"", b"x", None])
@pytest.mark.usefixtures("settled")
def test_damaged_stamps_are_no_stamps(shapes: list[Shape], tmp_path: Path, damage: bytes | None) -> None:
    write_stamps(tmp_path / "index", take_stamps(shapes), hashes(shapes), tmp_path / "kept")
    (kept,) = (tmp_path / "kept").iterdir()
    content = kept.read_bytes()
    kept.write_bytes(content[:-1] + bytes([content[-1] ^ 1]) if damage is None else damage)
    assert Stamps.read(tmp_path / "index", tmp_path / "kept").trusted(take_stamps(shapes)) == {}


@pytest.mark.usefixtures("settled")
def test_a_cache_that_cannot_be_written_is_no_error(shapes: list[Shape], tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("a file in place of the folder")
    write_stamps(tmp_path / "index", take_stamps(shapes), hashes(shapes), tmp_path / "kept")
    assert len(Stamps.read(tmp_path / "index", tmp_path / "kept")) == 0


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("scheme", ["s3", "file"])
def test_an_object_is_known_by_its_tag(scheme: str, bucket: Url, tmp_path: Path) -> None:
    folder = bucket / "meshes" if scheme == "s3" else as_path(f"file://{tmp_path}/meshes")
    assert isinstance(folder, Url)
    shapes = [Shape(name, None, None, folder / "deep" / name) for name in ("a.off", "b/c.off", "d.off")]
    for shape in shapes:
        write_object(shape.file, shape.id.encode())  # type: ignore[arg-type]
    write_object(folder / "deep" / "other.off", b"of no shape")
    write_stamps(tmp_path / "index", take_stamps(shapes), hashes(shapes), tmp_path / "kept")
    stamps = Stamps.read(tmp_path / "index", tmp_path / "kept")
    assert stamps.trusted(take_stamps(shapes)) == hashes(shapes)
    write_object(shapes[0].file, b"A.off")  # type: ignore[arg-type]
    lost = Shape("lost.off", None, None, folder / "deep" / "lost.off")
    assert stamps.trusted(take_stamps([*shapes, lost])).keys() == {"b/c.off", "d.off"}
    assert stamps.trusted(take_stamps(shapes[2:])).keys() == {"d.off"}


@pytest.mark.usefixtures("settled")
def test_without_an_answer_of_the_store_there_are_no_stamps(bucket: Url) -> None:
    assert take_stamps([Shape("a.off", None, None, as_path(f"{bucket}-lost/a.off"))]) == {}
