from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from shapecnn.artefacts.imports.layouts import find_layout
from shapecnn.artefacts.manifest import MANIFEST
from shapecnn.errors import CollectionError, UsageError
from shapecnn.meshes.collection import list_shapes
from shapecnn.storage.kinds import kind_of, require_kind
from shapecnn.storage.own import require_own
from shapecnn.training.plan import plan_to_resume


def test_the_kind_of_each_folder_is_known_also_where_the_file_that_tells_is_gone(
    solids: Path, solids_index: Path, views_run: Path, tmp_path: Path
) -> None:
    assert (kind_of(solids_index), kind_of(views_run)) == ("index", "run")
    assert kind_of(solids) is kind_of(tmp_path / "nowhere") is kind_of(solids / "box/cube.off") is None
    for folder, tells in ((solids_index, "index.json"), (views_run, "model.json")):
        copy = Path(shutil.copytree(folder, tmp_path / tells))
        (copy / tells).unlink()
        assert kind_of(copy) == kind_of(folder)
    (tmp_path / "run" / "resume").mkdir(parents=True)
    assert kind_of(tmp_path / "run") == "training"


@pytest.mark.parametrize(
    ("given", "wanted", "told"),
    [
        ("run", "index", r"run is a run, not an index\. To classify a mesh with it: shapecnn predict .*run MESH\."),
        ("index", "run", r"solids is an index, not a run\. To search it: shapecnn query .*solids MESH$"),
        ("meshes", "index", r"is not an index: shapecnn wrote no files into this folder\. To make one: "),
        ("file", "run", r"cube\.off is a file, not a run\. To make one: "),
        ("nowhere", "artefacts", r"There is no folder of artefacts at .*nowhere\. To make one: "),
    ],
)
def test_another_kind_is_named_with_what_it_is_good_for(
    given: str, wanted: str, told: str, solids: Path, solids_index: Path, views_run: Path, tmp_path: Path
) -> None:
    places = {"run": views_run, "index": solids_index, "meshes": solids, "file": solids / "box/cube.off"}
    with pytest.raises(UsageError, match=told) as raised:
        require_kind(places.get(given, tmp_path / "nowhere"), wanted, "To make one: …")  # type: ignore[arg-type]
    assert "Remove" not in str(raised.value)


@pytest.mark.parametrize("read", [list_shapes, find_layout])
def test_what_shapecnn_made_is_no_collection(
    read: Callable[[Path], object], solids_index: Path, views_run: Path, tmp_path: Path
) -> None:
    with pytest.raises(CollectionError, match=r"solids is an index, not a .*\. To search it: shapecnn query"):
        read(solids_index)
    with pytest.raises(CollectionError, match=r"run is a run, not a .*\. To classify a mesh with it: shapecnn predict"):
        read(views_run)
    (tmp_path / "audit.json").touch()
    with pytest.raises(CollectionError, match=r" is a report of audit, not a .*\. To look at it: open "):
        read(tmp_path)


def test_artefacts_are_no_collection_and_nothing_to_import(tmp_path: Path) -> None:
    """Pictures lie there, and so a layout is looked for."""
    (tmp_path / "box").mkdir()
    for name in (MANIFEST, "box/cube.png"):
        (tmp_path / name).touch()
    for read in (list_shapes, find_layout):
        with pytest.raises(CollectionError, match=r" is a folder of artefacts, not a .*\. To train on it: "):
            read(tmp_path)


def test_only_a_training_is_gone_on_with(solids_index: Path) -> None:
    with pytest.raises(UsageError, match=r"solids is an index, not a training\. To search it: shapecnn query"):
        plan_to_resume(solids_index)


@pytest.mark.parametrize("name", ["model.json", "index.json", "audit.json"])
def test_a_folder_is_not_a_file_that_tells_a_kind(name: str, tmp_path: Path) -> None:
    """Somebody's class may be called so."""
    (tmp_path / name).mkdir()
    assert kind_of(tmp_path) is None
    require_own("settings.json", tmp_path, overwrite=True)
