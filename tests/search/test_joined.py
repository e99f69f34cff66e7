"""Indexes that join a network with a descriptor: made, searched, kept up to date, and told from others."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh

import shapecnn
from shapecnn.errors import MismatchError, StoredDataError, UsageError
from shapecnn.models import kept_engine
from shapecnn.search.index import HEADER, index_settings, read_index
from shapecnn.search.query import require_views
from shapecnn.settings.base import settings_hash
from shapecnn.verify import verify
from shapecnn.workers.pool import Workers
from tests.evaluations import write_splits
from tests.sealing import forge
from tests.solids import contents, write, write_ball

SMALL = {"backbone": "test_efficientnet", "weights": "none", "size": 32}
JOINED = {**SMALL, "descriptor": "sph"}


def update(collection: Path, folder: Path, model: str | None = None, **options: Any) -> shapecnn.IndexChanges:
    return shapecnn.update_index(collection, folder, model, device="cpu", workers=Workers(1), **options)


def scores(folder: Path, paths: list[str]) -> list[dict[str, float]]:
    """The score of each shape of an index, for each query."""
    answers = shapecnn.open_index(folder, device="cpu", workers=1).query(paths, 100)
    return [{hit.shape.id: hit.score for hit in answer.hits} for answer in answers]


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 shapes, enough for a space that they shape."""
    return write_splits(tmp_path_factory.mktemp("joined") / "meshes", train=8, test=0)


@pytest.fixture(scope="module")
def joined(collection: Path) -> Path:
    folder = collection.parent / "index"
    assert update(collection, folder, settings=JOINED).added == 24
    return folder


def test_a_score_is_the_mean_of_those_of_two_indexes(collection: Path, joined: Path, tmp_path: Path) -> None:
    update(collection, tmp_path / "network", settings=SMALL)
    update(collection, tmp_path / "sph", "@sph")
    paths = [item.path for item in read_index(joined).shapes[::5]]
    moved = write(tmp_path / "moved.off", trimesh.load(paths[1]).apply_scale(3).apply_translation((4, 5, 6)))
    both, network, sph = (
        scores(folder, [*paths, str(moved)]) for folder in (joined, tmp_path / "network", tmp_path / "sph")
    )
    for mine, one, other in zip(both, network, sph, strict=True):
        assert mine == pytest.approx({i: (one[i] + other[i]) / 2 for i in mine}, abs=2e-3)  # bfloat16, twice
        assert len(mine) == 24
    assert [next(iter(found)) for found in both] == [
        item.id for item in [*read_index(joined).shapes[::5], read_index(joined).shapes[5]]
    ]
    assert [max(found.values()) for found in both[:-1]] == [1] * len(paths)


def test_the_files_of_an_index_say_what_is_joined(joined: Path) -> None:
    index = read_index(joined)
    sph = index.features[:, -512:]
    assert index.views is None
    assert index.placed is not None
    assert index.placed.gallery.shape == index.features[:, :-512].shape
    assert np.linalg.norm(sph, axis=1) == pytest.approx(0.5**0.5, abs=1e-6)
    assert np.linalg.norm(index.features, axis=1) == pytest.approx(1, abs=1e-6)
    assert json.loads((joined / HEADER).read_text())["settings"]["descriptor"]["kind"] == "sph"
    assert index.record.description.endswith("adapted to the collection, joined with spherical harmonics of 64³ grids")
    assert verify(joined).findings == []


def test_an_update_keeps_what_is_joined(collection: Path, joined: Path, tmp_path: Path) -> None:
    meshes, folder = shutil.copytree(collection, tmp_path / "meshes"), shutil.copytree(joined, tmp_path / "index")
    write_ball(meshes / "box" / "train" / "0.off")
    (meshes / "round" / "train" / "1.off").unlink()
    changes = update(meshes, folder)  # neither model nor settings are said again
    assert (changes.added, changes.updated, changes.unchanged, changes.removed) == (0, 1, 22, 1)
    update(meshes, tmp_path / "anew", settings=JOINED)
    kept, anew = read_index(folder), read_index(tmp_path / "anew")
    assert kept.record == anew.record
    np.testing.assert_allclose(kept.features, anew.features, atol=1e-6)
    assert kept.placed is not None
    assert anew.placed is not None
    np.testing.assert_allclose(kept.placed.gallery, anew.placed.gallery, atol=1e-5)


@pytest.mark.parametrize(
    ("model", "settings", "there", "here"),
    [
        (None, {"descriptor": None}, "@imagenet joined with sph", "@imagenet"),
        (None, {"descriptor": "fisher"}, "@imagenet joined with sph", "@imagenet joined with fisher"),
        ("@sph", None, "@imagenet joined with sph", "@sph"),
    ],
)
def test_another_descriptor_is_refused(
    collection: Path, joined: Path, model: str | None, settings: dict[str, Any] | None, there: str, here: str
) -> None:
    before = contents(joined)
    with pytest.raises(MismatchError, match=rf"was made with {there} and not with {here}\. To keep the index"):
        update(collection, joined, model, settings=settings)
    assert contents(joined) == before


def test_overwriting_can_leave_the_descriptor_out(collection: Path, joined: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(joined, tmp_path / "index")
    update(collection, folder, settings={"descriptor": None}, overwrite=True)
    record = read_index(folder).record
    assert (record.descriptor, record.settings["backbone"]) == (None, "test_efficientnet")


def test_pictures_are_refused(joined: Path) -> None:
    searcher = shapecnn.open_index(joined, device="cpu", workers=1)
    with pytest.raises(UsageError, match=r"@imagenet, joined with the descriptor sph, which a single picture does not"):
        searcher.query_pictures("photo.png")


@pytest.mark.parametrize(
    ("name", "descriptor"), [("views_run", "sph"), ("voxels_run", "sph"), ("voxels_run", "fisher")]
)
def test_a_trained_run_is_joined_too(
    name: str, descriptor: str, solids: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    run, folder = shutil.copytree(request.getfixturevalue(name), tmp_path / "run"), tmp_path / "index"
    assert update(solids, folder, str(run), settings={"descriptor": descriptor}).added == 9
    for model in (str(run), None):  # what is not said is as it was
        assert update(solids, folder, model).unchanged == 9
    paths = [item.path for item in read_index(folder).shapes]
    run = run.rename(tmp_path / "moved")
    answers = shapecnn.open_index(folder, run, device="cpu", workers=1).query(paths, 2)
    assert [(answer.hits[0].shape.path, answer.hits[0].score) for answer in answers] == [(path, 1) for path in paths]
    assert all(answer.hits[1].score < 0.999 for answer in answers)
    with pytest.raises(MismatchError, match=f"joined with {descriptor} and not with {run} .weights [0-9a-f]{{8}}.\\. "):
        update(solids, folder, str(run), settings={"descriptor": None})


def test_the_settings_of_a_descriptor_that_no_version_has_are_damage(joined: Path, tmp_path: Path) -> None:
    for number, descriptor in enumerate(({"kind": "lfd"}, "sph", None, {})):
        folder = shutil.copytree(joined, tmp_path / str(number))

        def forged(header: dict[str, Any], descriptor: object = descriptor) -> dict[str, Any]:
            settings = {**header["settings"], "descriptor": descriptor}
            del settings["hash"]
            return {**header, "settings": {**settings, "hash": settings_hash(settings)}}

        forge(folder, HEADER, forged)
        with pytest.raises(StoredDataError, match="do not describe a model"):
            index_settings(folder)


def test_a_descriptor_of_another_version_is_refused(joined: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(joined, tmp_path / "index")

    def forged(header: dict[str, Any]) -> dict[str, Any]:
        settings = {**header["settings"], "descriptor": {"kind": "sph", "method": 1, "filling": 1}}
        del settings["hash"]
        return {**header, "settings": {**settings, "hash": settings_hash(settings)}}

    forge(folder, HEADER, forged)
    with pytest.raises(MismatchError, match=r"filling is 1 there and 2 here.*--up z --set descriptor=sph$"):
        shapecnn.open_index(folder)


@pytest.mark.parametrize("model", ["@sph", "@fisher"])
def test_an_index_by_a_descriptor_alone_is_not_computed_again(
    model: str, solids: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: a descriptor of views has no feature of each view, which an update took for a missing one."""
    meshes = shutil.copytree(solids / "box", tmp_path / "meshes" / "box").parent
    update(meshes, tmp_path / "index", model)
    monkeypatch.setattr(kept_engine, "open_engine", lambda *_, **__: pytest.fail("a feature is computed again"))
    assert update(meshes, tmp_path / "index").unchanged == 3
    searcher = shapecnn.open_index(tmp_path / "index")
    reason = "compares shapes by the descriptor fisher, not" if model == "@fisher" else "by the descriptor sph, not"
    with pytest.raises(UsageError, match=reason):
        require_views(searcher.index, searcher.model, "here")
