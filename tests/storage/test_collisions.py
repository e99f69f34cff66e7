"""Names that are one to some file systems: told before any work where they are, and kept apart where they are not.

The tests of a file system that ignores case run in the folder that SHAPECNN_CASELESS names, where there is such a one.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from shapecnn.artefacts.manifest import read_manifest
from shapecnn.artefacts.prepare import Recipe, prepare_collection
from shapecnn.artefacts.writing import Summary
from shapecnn.errors import CollectionError
from shapecnn.settings.views_and_grids import VoxelSettings
from shapecnn.storage import collisions
from shapecnn.storage.collisions import fold_name, require_no_collisions
from shapecnn.workers.pool import Workers
from tests.solids import contents, write_box

OWN = ("manifest.parquet", "SHA256SUMS", ".partial")
ALIKE = {
    "files": (["c/A.png", "c/a.png"], "id c/A.png and id c/a.png would both be written to the file c/a.png"),
    "folders": (["Chair/x.png", "chair/x.png"], "would both be written to the file chair/x.png"),
    "accents": (["c/\u00fc.png", "c/u\u0308.png"], "would both be written to the file c/u\u0308.png"),
    "a file and a folder": (
        ["c/A.png", "c/a.png/b.png"],
        "and id c/a.png/b.png into a folder of the same name",
    ),
    "a file of our own": (["sha256sums/a.png"], "to sha256sums/a.png, where shapecnn writes its own SHA256SUMS"),
}


def owners(*names: str) -> dict[str, str]:
    return {name: f"id {name}" for name in names}


@pytest.fixture
def careless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that ignores case and how accents are encoded, as far as a try of two names goes."""

    def tried(self: object, place: Path, left: str, right: str) -> bool:
        return fold_name(left) == fold_name(right)

    monkeypatch.setattr(collisions._NameTrials, "_try", tried)


@pytest.fixture
def caseless() -> Iterator[Path]:
    folder = os.environ.get("SHAPECNN_CASELESS")
    if not folder:
        pytest.skip("SHAPECNN_CASELESS names no folder on a file system that ignores case")
    with tempfile.TemporaryDirectory(dir=folder) as made:
        (Path(made) / "a").touch()
        assert (Path(made) / "A").exists(), "it does not ignore case"
        yield Path(made)


@pytest.mark.parametrize("names", [names for names, _ in ALIKE.values()], ids=ALIKE.keys())
def test_this_file_system_is_tried_and_nothing_is_left(names: list[str], tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    if (tmp_path / "A").exists():
        pytest.skip("temporary files lie where case is ignored")
    (tmp_path / "out" / "c").mkdir(parents=True)
    for out in (tmp_path / "out", tmp_path / "absent" / "out"):
        require_no_collisions(owners(*names), OWN, out)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "c", "out"]


@pytest.mark.usefixtures("careless")
@pytest.mark.parametrize(("names", "told"), ALIKE.values(), ids=ALIKE.keys())
def test_names_that_are_one_there_are_told_with_what_to_do(names: list[str], told: str, tmp_path: Path) -> None:
    with pytest.raises(CollectionError) as raised:
        require_no_collisions(owners(*names), OWN, tmp_path / "out")
    assert told in str(raised.value)
    assert str(raised.value).endswith(
        "or choose an output folder on another file system: the file system of the output folder does not distinguish "
        "names that differ only in case or in the encoding of accents."
    )


@pytest.mark.usefixtures("careless")
def test_folders_that_are_one_hold_what_is_called_otherwise(tmp_path: Path) -> None:
    require_no_collisions(owners("Chair/x.png", "chair/y.png", "Chair/z.png"), OWN, tmp_path)


def test_only_names_that_could_be_one_are_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "TemporaryDirectory", None)
    require_no_collisions(owners("a/x.png", "b/x.png", "ä/x.png", "ab/x.png"), OWN, tmp_path)


def boxes(meshes: Path, out: Path, *names: str) -> Summary:
    """Artefacts of boxes, each by its place in ``names`` another one, and of no other mesh."""
    for path in meshes.rglob("*.off"):
        path.unlink()
    for place, name in enumerate(names):
        write_box(meshes / name, 1, 2, 3 + place)
    recipe = Recipe(VoxelSettings(resolution=24, padding=1))
    return prepare_collection(meshes, out, recipe, command="", workers=Workers(1))


def test_names_that_differ_in_case_are_both_kept(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    if (tmp_path / "A").exists():
        pytest.skip("temporary files lie where case is ignored")
    out = tmp_path / "out"
    assert boxes(tmp_path / "meshes", out, "c/A.off", "c/a.off", "d/\u00fc.off", "d/u\u0308.off").written == 4
    assert len({content for name, content in contents(out).items() if name.endswith(".binvox")}) == 4
    assert boxes(tmp_path / "meshes", out, "c/A.off", "c/a.off", "d/\u00fc.off", "d/u\u0308.off").skipped == 4


def test_where_case_is_ignored_they_are_told_before_any_work(caseless: Path, tmp_path: Path) -> None:
    for names in (("c/A.off", "c/a.off"), ("Chair/x.off", "chair/x.off"), ("c/A.off", "c/a.binvox/b.off")):
        with pytest.raises(CollectionError, match="the file system of the output folder does not distinguish names"):
            boxes(tmp_path / "meshes", caseless / "out", *names)
        assert not (caseless / "out").exists()


def test_where_case_is_ignored_a_name_may_change_its_case(caseless: Path, tmp_path: Path) -> None:
    out = caseless / "out"
    boxes(tmp_path / "meshes", out, "c/A.off", "c/b.off", "d/c.off")
    boxes(tmp_path / "meshes", out, "c/a.off", "c/b.off", "D/c.off")
    assert {entry.id for entry in read_manifest(out)} == {"c/a.off", "c/b.off", "D/c.off"}
    for name in ("c/a.binvox", "c/b.binvox", "D/c.binvox"):
        assert (out / name).exists()
    assert boxes(tmp_path / "meshes", out, "c/a.off", "c/b.off", "D/c.off").skipped == 3
