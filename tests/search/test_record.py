"""What an index was made with: told from everything else, found again, and missed with a remedy."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shapecnn.artefacts.prepare import Recipe, prepare_collection
from shapecnn.artefacts.reading import open_artefacts
from shapecnn.errors import MismatchError, StoredDataError, UsageError
from shapecnn.models.input import Input
from shapecnn.models.model import resolve_model
from shapecnn.models.run import Run
from shapecnn.models.untrained import UntrainedModel
from shapecnn.search.record import ModelRecord
from shapecnn.settings.base import settings_hash
from shapecnn.settings.views_and_grids import ImportedViewSettings, ViewSettings
from shapecnn.verify import verify
from shapecnn.workers.pool import Workers
from tests.runs import write_run
from tests.sealing import forge

INDEX = Path("INDEX")


def test_imagenet_has_up_in_its_settings() -> None:
    settings = UntrainedModel.of(up="x", views=20)
    origin = ModelRecord.of(settings, "z")
    assert (origin.model, origin.settings, origin.up) == ("@imagenet", settings.to_json(), "x")
    assert origin.open(INDEX) == settings
    assert origin.description == "tf_efficientnet_lite1, 20 views pooled by mean, adapted to the collection"
    plain = ModelRecord.of(UntrainedModel.of(adapt=False), "z")
    assert plain.description == "tf_efficientnet_lite1, 12 views pooled by mean"


def test_an_index_by_an_earlier_scorer_of_poses_is_refused() -> None:
    now = ModelRecord.of(UntrainedModel.of(orientation="auto"), "z")
    settings = {key: value for key, value in now.settings.items() if key not in ("scorer", "hash")}
    before = ModelRecord(now.model, {**settings, "hash": settings_hash(settings)})
    with pytest.raises(MismatchError, match=r"INDEX was made with other settings \(scorer is .* there and 2 here\)"):
        before.open(INDEX)
    assert "scorer" not in now.model_settings()  # nobody sets it


def test_a_run_is_kept_by_its_absolute_path(views_run: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(views_run.parent)
    origin = ModelRecord.of(resolve_model("run"), "y")
    assert (origin.model, origin.up) == (str(views_run), "y")
    monkeypatch.chdir(tmp_path)
    assert origin.open(INDEX).to_json() == resolve_model(str(views_run)).to_json()
    assert origin.description == f"mvcnn trained in {views_run}"


def test_up_is_one_of_the_settings_and_the_place_is_none(views_run: Path, tmp_path: Path) -> None:
    model = resolve_model(str(views_run))
    moved = resolve_model(str(shutil.copytree(views_run, tmp_path / "moved")))
    assert ModelRecord.of(model, "y").settings["hash"] != ModelRecord.of(model, "z").settings["hash"]
    ModelRecord.of(moved, "y").require_same(ModelRecord.of(model, "y"), "INDEX", "")
    with pytest.raises(MismatchError, match=r"INDEX .* other settings \(up is 'z' there and 'y' here\)\. Remedy"):
        ModelRecord.of(moved, "y").require_same(ModelRecord.of(model, "z"), "INDEX", "Remedy")


def test_a_run_that_moved_is_found_where_it_is_said_to_be(views_run: Path, tmp_path: Path) -> None:
    gone = shutil.copytree(views_run, tmp_path / "gone")
    origin = ModelRecord.of(resolve_model(str(gone)), "z")
    shutil.rmtree(gone)
    with pytest.raises(UsageError, match=f"INDEX was made with the run {re.escape(str(gone))}, .* --model RUN"):
        origin.open(INDEX)
    assert origin.open(INDEX, str(views_run)).name == str(views_run)
    with pytest.raises(UsageError, match="There is no run at nowhere"):
        origin.open(INDEX, "nowhere")


def test_another_run_is_refused_and_both_are_named(solids: Path, views_run: Path, tmp_path: Path) -> None:
    other = write_run(tmp_path / "other", solids, seed=1)
    origin = ModelRecord.of(resolve_model(str(views_run)), "z")
    weights = r"\(weights [0-9a-f]{8}\)"
    with pytest.raises(MismatchError, match=f"INDEX was made with .*/run {weights} and not with {other} {weights}"):
        origin.open(INDEX, str(other))
    with pytest.raises(MismatchError, match="and not with @imagenet"):
        origin.open(INDEX, "@imagenet")
    with pytest.raises(MismatchError, match=r"was made with @imagenet and not with .*\. Leave out --model\.$"):
        ModelRecord.of(UntrainedModel.of(), "z").open(INDEX, str(other))


def test_a_run_trained_anew_in_its_place_is_another(solids: Path, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", solids)
    origin = ModelRecord.of(resolve_model(str(run)), "z")
    write_run(run, solids, seed=1)
    with pytest.raises(MismatchError, match=f"was made with {run} .* and not with {run} "):
        origin.open(INDEX)


def test_a_damaged_run_is_said_to_be(solids: Path, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", solids)
    origin = ModelRecord.of(resolve_model(str(run)), "z")
    (run / "model.safetensors").write_bytes(b"")
    with pytest.raises(StoredDataError, match=r"model\.safetensors has changed since it was written"):
        origin.open(INDEX)


def test_settings_of_a_later_version_are_told_so() -> None:
    origin = ModelRecord.of(UntrainedModel.of(), "z")
    later = {**origin.settings, "colour": True}
    del later["hash"]
    with pytest.raises(StoredDataError, match=r"INDEX is from another version of shapecnn \(Unknown key 'colour'"):
        replace(origin, settings={**later, "hash": settings_hash(later)}).open(INDEX)


def sealed(**settings: object) -> dict[str, object]:
    """Settings whose hash is right."""
    return {**settings, "hash": settings_hash(settings)}


def test_what_cannot_be_one_is_not_read() -> None:
    run = {"kind": "run", "up": "z", "weights": "0" * 64, "network": {}, "input": {}}
    assert ModelRecord.read("/run", sealed(**run)).up == "z"
    for model in (None, 3, "a\nb", "x" * 4097):
        with pytest.raises(ValueError, match="does not name the model of the index"):
            ModelRecord.read(model, sealed(**run))
    with pytest.raises(ValueError, match="does not name the model of the index"):
        ModelRecord.read("/run", [run])
    for settings in (run, {**sealed(**run), "up": "x"}, *(sealed(**{**run, key: None}) for key in run)):
        with pytest.raises(ValueError, match="the stored settings do not describe a model"):
            ModelRecord.read("/run", settings)


def before_drawing_2(value: dict[str, Any]) -> dict[str, Any]:
    """Settings of pictures as the first version had them, with the hash they had."""
    old = {key: 1 if key == "drawing" else kept for key, kept in value.items() if key != "hash"}
    return {**old, "hash": settings_hash(old)}


EARLIER = "was made by an earlier version of shapecnn, which cut concave polygons into wrong triangles (drawing is 1"


def test_an_index_of_other_triangles_is_refused() -> None:
    old = ModelRecord("@imagenet", before_drawing_2(UntrainedModel.of(up="y").to_json()))
    with pytest.raises(MismatchError, match=re.escape(f"INDEX {EARLIER}")) as caught:
        old.open(INDEX)
    assert str(caught.value).endswith("Build the index again: shapecnn index COLLECTION INDEX --model @imagenet --up y")
    with pytest.raises(MismatchError, match=re.escape(f"INDEX {EARLIER}")):
        ModelRecord.of(UntrainedModel.of(up="y"), "y").require_same(old, "INDEX", "Remedy")


def test_an_index_by_a_run_trained_on_others_pictures_is_of_our_drawing(solids: Path, tmp_path: Path) -> None:
    """The run's own settings do not tell how meshes are drawn for it."""
    run = resolve_model(str(write_run(tmp_path / "run", solids)))
    assert isinstance(run, Run)
    run = replace(run, input=Input(ImportedViewSettings(views=12, size=32)))
    origin = ModelRecord.of(run, "z")
    assert origin.settings["drawing"] == 2
    old = replace(origin, settings={key: value for key, value in origin.settings.items() if key != "drawing"})
    with pytest.raises(MismatchError, match=re.escape(f"INDEX {EARLIER}")):
        origin.require_same(old, "INDEX", "Remedy")


def test_a_run_trained_on_other_triangles_is_refused(solids: Path, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", solids)
    forge(run, "model.json", lambda model: {**model, "input": before_drawing_2(model["input"])})
    with pytest.raises(MismatchError, match=re.escape(f"{run} {EARLIER}")) as caught:
        resolve_model(str(run))
    again = f"To train on the result: shapecnn train {run}/config.yaml --data DIR --out RUN"
    assert str(caught.value).endswith(again)
    assert [(f.fault, f.path) for f in verify(run).findings] == [("stale", str(run))]


def test_artefacts_of_other_triangles_are_refused(solids: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare_collection(solids, out, Recipe(ViewSettings(size=8)), command="again", workers=Workers(1))
    forge(out, "settings.json", before_drawing_2)
    with pytest.raises(MismatchError, match=re.escape(f"{out} {EARLIER}")) as caught:
        open_artefacts(out)
    assert str(caught.value).endswith(
        "Make the artefacts again: shapecnn render COLLECTION OUT (with the same options)."
    )
    assert [(f.fault, f.path) for f in verify(out).findings] == [("stale", str(out))]
    with pytest.raises(MismatchError, match=re.escape(f"{out} {EARLIER}")):
        prepare_collection(solids, out, Recipe(ViewSettings(size=8)), command="again", workers=Workers(1))
