"""What an index was made with: told from everything else, found again, and missed with a remedy."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from shapecnn.config import settings_hash
from shapecnn.errors import MismatchError, StoredDataError, UsageError
from shapecnn.models import ImagenetSettings, open_model
from shapecnn.origin import Origin
from tests.runs import write_run

INDEX = Path("INDEX")


def test_imagenet_has_up_in_its_settings() -> None:
    settings = ImagenetSettings(up="x", views=20)
    origin = Origin.of(settings, "z")
    assert (origin.model, origin.settings, origin.up) == ("@imagenet", settings.to_json(), "x")
    assert origin.open(INDEX) == settings
    assert origin.description == "tf_efficientnet_lite1, 20 views pooled by mean, adapted to the collection"
    plain = Origin.of(ImagenetSettings(adapt=False), "z")
    assert plain.description == "tf_efficientnet_lite1, 12 views pooled by mean"


def test_a_run_is_kept_by_its_absolute_path(views_run: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(views_run.parent)
    origin = Origin.of(open_model("run"), "y")
    assert (origin.model, origin.up) == (str(views_run), "y")
    monkeypatch.chdir(tmp_path)
    assert origin.open(INDEX).to_json() == open_model(str(views_run)).to_json()
    assert origin.description == f"mvcnn trained in {views_run}"


def test_up_is_one_of_the_settings_and_the_place_is_none(views_run: Path, tmp_path: Path) -> None:
    model = open_model(str(views_run))
    moved = open_model(str(shutil.copytree(views_run, tmp_path / "moved")))
    assert Origin.of(model, "y").settings["hash"] != Origin.of(model, "z").settings["hash"]
    Origin.of(moved, "y").require(Origin.of(model, "y"), "INDEX", "")
    with pytest.raises(MismatchError, match=r"INDEX .* other settings \(up is 'z' there and 'y' here\)\. Remedy"):
        Origin.of(moved, "y").require(Origin.of(model, "z"), "INDEX", "Remedy")


def test_a_run_that_moved_is_found_where_it_is_said_to_be(views_run: Path, tmp_path: Path) -> None:
    gone = shutil.copytree(views_run, tmp_path / "gone")
    origin = Origin.of(open_model(str(gone)), "z")
    shutil.rmtree(gone)
    with pytest.raises(UsageError, match=f"INDEX was made with the run {re.escape(str(gone))}, .* --model RUN"):
        origin.open(INDEX)
    assert origin.open(INDEX, str(views_run)).name == str(views_run)
    with pytest.raises(UsageError, match="There is no run at nowhere"):
        origin.open(INDEX, "nowhere")


def test_another_run_is_refused_and_both_are_named(solids: Path, views_run: Path, tmp_path: Path) -> None:
    other = write_run(tmp_path / "other", solids, seed=1)
    origin = Origin.of(open_model(str(views_run)), "z")
    weights = r"\(weights [0-9a-f]{8}\)"
    with pytest.raises(MismatchError, match=f"INDEX was made with .*/run {weights} and not with {other} {weights}"):
        origin.open(INDEX, str(other))
    with pytest.raises(MismatchError, match="and not with @imagenet"):
        origin.open(INDEX, "@imagenet")
    with pytest.raises(MismatchError, match="was made with @imagenet and not with"):
        Origin.of(ImagenetSettings(), "z").open(INDEX, str(other))


def test_a_run_trained_anew_in_its_place_is_another(solids: Path, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", solids)
    origin = Origin.of(open_model(str(run)), "z")
    write_run(run, solids, seed=1)
    with pytest.raises(MismatchError, match=f"was made with {run} .* and not with {run} "):
        origin.open(INDEX)


def test_a_damaged_run_is_said_to_be(solids: Path, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", solids)
    origin = Origin.of(open_model(str(run)), "z")
    (run / "model.safetensors").write_bytes(b"")
    with pytest.raises(StoredDataError, match=r"model\.safetensors is not what was written there"):
        origin.open(INDEX)


def test_settings_of_a_later_version_are_told_so() -> None:
    origin = Origin.of(ImagenetSettings(), "z")
    later = {**origin.settings, "colour": True}
    del later["hash"]
    with pytest.raises(StoredDataError, match=r"INDEX is of another version of shapecnn \(Unknown key 'colour'"):
        replace(origin, settings={**later, "hash": settings_hash(later)}).open(INDEX)


def sealed(**settings: object) -> dict[str, object]:
    """Settings whose hash is right."""
    return {**settings, "hash": settings_hash(settings)}


def test_what_cannot_be_one_is_not_read() -> None:
    run = {"kind": "run", "up": "z", "weights": "0" * 64, "network": {}, "input": {}}
    assert Origin.read("/run", sealed(**run)).up == "z"
    for model in (None, 3, "a\nb", "x" * 4097):
        with pytest.raises(ValueError, match="does not say what made it"):
            Origin.read(model, sealed(**run))
    with pytest.raises(ValueError, match="does not say what made it"):
        Origin.read("/run", [run])
    for settings in (run, {**sealed(**run), "up": "x"}, *(sealed(**{**run, key: None}) for key in run)):
        with pytest.raises(ValueError, match="its settings are no model's"):
            Origin.read("/run", settings)
