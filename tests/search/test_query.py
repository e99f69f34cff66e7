"""Queries: every mesh finds itself, answers keep the order of questions, and a bad file is an answer too."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray
from PIL import Image

from shapecnn.errors import MeshError, MismatchError, PictureError, UsageError
from shapecnn.evaluation.evaluate import evaluate_model
from shapecnn.evaluation.settings import EvaluationSettings
from shapecnn.meshes.mesh import load_mesh
from shapecnn.models.model import Model, resolve_model
from shapecnn.models.untrained import UntrainedModel
from shapecnn.search.index import Index, IndexedShape, read_index
from shapecnn.search.plan import IndexPlan
from shapecnn.search.query import Answer, Searcher, require_views
from shapecnn.search.record import ModelRecord
from shapecnn.search.update import bring_up_to_date
from shapecnn.settings.views_and_grids import ViewSettings
from shapecnn.views import render_views
from shapecnn.workers.pool import Workers
from tests.evaluations import write_artefacts, write_splits
from tests.solids import write


@pytest.fixture(scope="module")
def index(solids_index: Path) -> Index:
    return read_index(solids_index)


@pytest.fixture(scope="module")
def model(index: Index, solids_index: Path) -> Model:
    return index.record.open(solids_index)


def test_every_mesh_finds_itself_first(index: Index, model: Model) -> None:
    paths = [item.path for item in index.shapes]
    answers = Searcher(index, model, device="cpu").query(paths, 3, up="z")
    assert [answer.path for answer in answers] == paths
    for item, answer in zip(index.shapes, answers, strict=True):
        assert answer.error is None
        assert len(answer.hits) == 3
        assert (answer.hits[0].shape, answer.hits[0].score) == (item, 1)
        assert answer.hits[1].score < 0.999


def test_answers_keep_the_order_of_questions(index: Index, model: Model, tmp_path: Path) -> None:
    good = [index.shapes[row].path for row in (8, 2, 5)]
    (tmp_path / "text.off").write_bytes(b"no mesh")
    paths = [str(tmp_path / "nowhere.off"), good[0], good[1], str(tmp_path / "text.off"), good[0], good[2]]
    answers = Searcher(index, model, device="cpu").query(paths, 1, up="z")
    assert [answer.path for answer in answers] == paths
    found = [answer.hits[0].shape.path if answer.hits else None for answer in answers]
    assert found == [None, good[0], good[1], None, good[0], good[2]]
    for bad, kind in ((0, "missing"), (3, "format")):
        assert isinstance(answers[bad].error, MeshError)
        assert answers[bad].error.kind == kind


def test_together_or_one_by_one_is_the_same(index: Index, model: Model) -> None:
    paths = [item.path for item in index.shapes]
    together = Searcher(index, model, device="cpu").query(paths, 9, up="z")
    alone = [answer for path in paths[:2] for answer in Searcher(index, model, device="cpu").query([path], 9, up="z")]
    assert together[:2] == alone


def test_up_is_that_of_the_query(index: Index, model: Model, solids: Path, tmp_path: Path) -> None:
    mesh = trimesh.load(solids / "round/cone.off", process=False)
    x, y, z = mesh.vertices.T
    mesh.vertices = np.stack([x, z, -y], axis=1)  # by hand: what was up is now y
    lying = str(write(tmp_path / "lying.off", mesh))
    (turned,) = Searcher(index, model).query([lying], 1, up="y")
    assert (turned.up, turned.hits[0].shape.id) == ("y", "round/cone.off")
    assert turned.hits[0].score == pytest.approx(1, abs=1e-4)
    assert Searcher(index, model).query([lying], 1, up="z")[0].hits[0].score < 0.99


def test_only_failures_are_answers_too(index: Index, model: Model) -> None:
    answers = Searcher(index, model, device="cpu").query(["a.off", "b.off"], 3, up="z")
    assert [(answer.path, answer.hits, answer.error.kind) for answer in answers if answer.error] == [
        ("a.off", [], "missing"),
        ("b.off", [], "missing"),
    ]


@pytest.mark.parametrize("neighbours", [0, 5])
def test_a_query_finds_what_evaluation_measures(neighbours: int, tmp_path: Path) -> None:
    """@imagenet compares in a space that the collection shapes: the same one wherever it is asked."""
    model = UntrainedModel.of(backbone="test_efficientnet", weights="none", size=32, neighbours=neighbours)
    collection = write_splits(tmp_path / "meshes", train=8, test=0)
    bring_up_to_date(collection, tmp_path / "index", IndexPlan.of(model), command="", device="cpu", workers=Workers(1))
    index = read_index(tmp_path / "index")
    artefacts = write_artefacts(collection, tmp_path / "views", model.settings.input_settings())
    settings = EvaluationSettings("train", "retrieval")
    measured = evaluate_model(model, artefacts, settings, device="cpu").nearest(range(24), 23)

    answers = Searcher(index, model, device="cpu").query([item.path for item in index.shapes], 24, up="z")
    plain = index.features @ index.features.T
    changed = 0
    for row, (answer, expected) in enumerate(zip(answers, measured, strict=True)):
        assert (answer.hits[0].shape, answer.hits[0].score) == (index.shapes[row], 1)
        scores = {hit.shape.id: hit.score for hit in answer.hits[1:]}
        assert scores == pytest.approx({hit.entry.id: hit.similarity for hit in expected}, abs=1e-3)  # bfloat16, twice
        order = [index.shapes[other].id for other in np.argsort(-plain[row], kind="stable")]
        changed += order != [hit.shape.id for hit in answer.hits]
    assert changed > 12  # it is not the space of the features as they are


def test_threads_share_one_space() -> None:
    """The space of a large index takes gigabytes, and a server searches in several threads."""
    model = UntrainedModel.of(backbone="test_efficientnet", weights="none", size=32)
    features = np.random.default_rng(0).normal(size=(400, 512)).astype(np.float32)
    shapes = [IndexedShape(f"{row:03}.off", None, None, "", "") for row in range(len(features))]
    searcher = Searcher(Index(ModelRecord.of(model, "z"), {}, shapes, features), model, device="cpu")
    together = threading.Barrier(4)

    def rows(_: int) -> NDArray[np.float32]:
        together.wait()
        return searcher.compared()[1]

    with ThreadPoolExecutor(4) as pool:
        first, *others = pool.map(rows, range(4))
    assert first.shape == (400, 1024)
    assert all(other is first for other in others)


def test_an_index_made_by_an_earlier_version_is_refused(index: Index, model: Model) -> None:
    """Its shapes were compared as they were."""
    settings = {key: value for key, value in index.record.settings.items() if key not in ("adapt", "neighbours")}
    earlier = replace(index.record, settings={**settings, "pooling": "max", "hash": "0" * 64})
    sentence = (
        r"made with other settings \(adapt is not set there and true here, neighbours is not set there and 5 here"
    )
    with pytest.raises(MismatchError, match=sentence):
        earlier.open(Path("INDEX"))


@pytest.mark.parametrize("name", ["views_run", "voxels_run"])
def test_every_mesh_finds_itself_by_a_trained_run(
    solids: Path, name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    trained = resolve_model(str(request.getfixturevalue(name)))
    bring_up_to_date(solids, tmp_path / "index", IndexPlan.of(trained), command="", device="cpu", workers=Workers(1))
    index = read_index(tmp_path / "index")
    paths = [item.path for item in index.shapes]
    answers = Searcher(index, index.record.open(tmp_path / "index"), device="cpu").query(paths, 1, up="z")
    assert [answer.hits[0].shape for answer in answers] == index.shapes
    assert {answer.hits[0].score for answer in answers} == {1}


# --- by picture -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def photographs(solids: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """View 4 of each solid, small and in a corner of a large picture."""
    folder, found = tmp_path_factory.mktemp("photographs"), {}
    for number, path in enumerate(sorted(solids.rglob("*.off"))):
        view = render_views(load_mesh(path), ViewSettings())[4]
        picture = np.full((500, 700), 255, np.uint8)
        picture[30:254, 60:284] = view
        Image.fromarray(picture).save(folder / f"{number}.png")
        found[path.relative_to(solids).as_posix()] = str(folder / f"{number}.png")
    return found


def pictures(index: Index, model: Model, paths: Sequence[str], k: int) -> list[Answer]:
    return Searcher(index, model, device="cpu").query_pictures(list(paths), k)


def test_a_photograph_finds_the_shape_and_the_view(index: Index, model: Model, photographs: dict[str, str]) -> None:
    names = {path: name for name, path in photographs.items()}
    answers = pictures(index, model, list(photographs.values()), 9)
    assert [answer.path for answer in answers] == list(names)
    first = [(answer.hits[0].shape.id, names[answer.path]) for answer in answers]
    assert [found for found, _ in first] == [name for _, name in first]
    cube = next(answer for answer in answers if names[answer.path] == "box/cube.off")
    assert cube.hits[0].view in (1, 4, 7, 10)  # the same from all four sides
    for answer in answers:
        assert answer.picture is not None
        assert answer.picture.shape == (model.input.side, model.input.side)
        assert [hit.score for hit in answer.hits] == sorted((hit.score for hit in answer.hits), reverse=True)
        assert len({hit.shape.id for hit in answer.hits}) == 9
        assert 0.8 < answer.hits[0].score <= 1


def test_more_pictures_than_views_and_bad_ones_keep_their_order(
    index: Index, model: Model, photographs: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "text.png").write_bytes(b"no picture")
    good = [*photographs.values()] * 4
    paths = [good[0], str(tmp_path / "text.png"), *good[1:], str(tmp_path / "nowhere.png")]
    answers = pictures(index, model, paths, 1)
    assert [answer.path for answer in answers] == paths
    assert len(good) > 12
    by_path: dict[str, set[tuple[str, int | None]]] = {}
    for answer in answers:
        if answer.error is None:
            by_path.setdefault(answer.path, set()).add((answer.hits[0].shape.id, answer.hits[0].view))
    assert {name: by_path[path] for name, path in photographs.items()}.keys() == photographs.keys()
    for name, path in photographs.items():
        assert [shape_id for shape_id, _ in by_path[path]] == [name]  # wherever in the row it stood
    errors = [answer.error for answer in answers if answer.error is not None]
    assert [(type(error), error.kind) for error in errors] == [(PictureError, "format"), (PictureError, "missing")]
    assert [answer.hits for answer in pictures(index, model, [paths[1]], 1)] == [[]]


def test_the_views_of_an_index_are_those_of_the_network_alone(index: Index, model: Model) -> None:
    """Each is the feature of a shape that is seen in that view and in no other."""
    import torch

    network = model.network.build()
    assert index.views is not None
    assert (index.views.dtype, index.views.shape) == (np.float16, (9, 12, 1280))
    array = model.input.draw(load_mesh(Path(index.shapes[4].path)))
    for view in (0, 7):
        with torch.inference_mode():
            expected = network(torch.from_numpy(array[None, view : view + 1].copy()))[1][0].numpy()
        expected /= np.linalg.norm(expected)
        similar = index.views.astype(np.float32).reshape(-1, 1280) @ expected
        assert similar.argmax() // 12 == 4  # which is round: all its views are alike
        assert similar[4 * 12 + view] > 0.99


def test_an_index_that_cannot_be_asked_by_a_picture_says_what_to_do(
    index: Index, model: Model, voxels_run: Path
) -> None:
    require_views(index, model, "here")
    with pytest.raises(
        UsageError,
        match=r"an earlier version .* To add the features, .* options: shapecnn index COLLECTION here",
    ):
        require_views(replace(index, views=None), model, "here")
    require_views(replace(index, views=None, shapes=[]), model, "here")
    with pytest.raises(UsageError, match=r"takes grids, not pictures\. --image needs"):
        require_views(index, resolve_model(str(voxels_run)), "here")
