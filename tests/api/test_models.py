"""Models and indexes that are opened once: what they keep, and that they say what the commands say."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import trimesh

import shapecnn
from shapecnn.models import kept_engine
from shapecnn.training.result import ValidationFigures

CUBE = "meshes/box/train/0.off"


def test_the_engine_is_opened_once(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    whole = kept_engine.open_engine

    def counted(*arguments: object, **options: object) -> object:
        opened.append(arguments)
        return whole(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(kept_engine, "open_engine", counted)
    model = shapecnn.open_model("run", device="cpu")
    assert opened == []  # nothing is loaded before the first mesh
    first, second = model.predict(CUBE), model.predict([CUBE, CUBE])
    assert model.features(CUBE).values.shape[0] == 1
    assert len(opened) == 1
    assert [prediction.top for prediction in second] == [first[0].top] * 2
    index = shapecnn.open_index("index", device="cpu")
    assert index.query(CUBE, 1)[0].hits[0].shape.id == index.query(CUBE, 3)[0].hits[0].shape.id == "box/train/0.off"
    assert len(opened) == 2
    shapecnn.draw_views(CUBE, shapecnn.ViewSettings(views=1, size=32)).save("cube.png")
    assert index.query_pictures("cube.png", 1)[0].hits
    assert len(opened) == 2  # meshes and pictures share the engine


def test_meshes_in_memory_are_predicted_as_their_files(world: Path) -> None:
    model = shapecnn.open_model("run", device="cpu")
    in_memory = trimesh.load(CUBE)
    by_file, by_mesh, by_arrays = model.predict([CUBE, in_memory, (in_memory.vertices, in_memory.faces)])
    assert by_file.top == by_mesh.top == by_arrays.top
    assert (by_file.path, by_arrays.path) == (CUBE, "mesh 2")


def test_threads_share_an_open_model(world: Path) -> None:
    model, index = shapecnn.open_model("run", device="cpu"), shapecnn.open_index("index", device="cpu")
    paths = sorted(str(path) for path in Path("meshes").rglob("*.off"))
    expected = [prediction.top for prediction in model.predict(paths)]
    with ThreadPoolExecutor(4) as threads:
        assert [prediction.top for (prediction,) in threads.map(model.predict, paths)] == expected
        found = [answer.hits[0].shape.id for (answer,) in threads.map(lambda path: index.query(path, 1), paths)]
    assert found == [path.removeprefix("meshes/") for path in paths]


def test_a_call_that_was_interrupted_leaves_nothing_for_the_next(world: Path) -> None:
    model = shapecnn.open_model("run", device="cpu")
    (expected,) = model.predict(CUBE)

    def interrupt(done: int, _total: int | None) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.predict(["meshes/round/train/0.off"] * 3, progress=interrupt)
    assert model.predict(CUBE)[0] == expected


def test_a_loaded_mesh_is_not_turned_again(world: Path) -> None:
    model = shapecnn.open_model("run", device="cpu")
    loaded = shapecnn.load_mesh(CUBE, up="y")
    by_path, by_mesh = model.predict(CUBE, up="y"), model.predict(loaded, up="y")
    assert by_path[0].top == by_mesh[0].top == model.predict(loaded)[0].top


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: shapecnn.load_mesh(CUBE, up="Y"), "up = 'Y': use 'x', 'y' or 'z'. Did you mean 'y'"),
        (lambda: shapecnn.open_model("run", device="gpu"), "device = 'gpu': use 'auto', 'cpu' or 'cuda'"),
        (lambda: shapecnn.open_model("run").predict(CUBE, up="Y"), "up = 'Y': use"),
        (lambda: shapecnn.open_index("index").query(CUBE, 0), "k = 0: use a whole number of at least 1"),
        (lambda: shapecnn.open_index("index").query(CUBE, 2.5), "k = 2.5: use a whole number"),
        (lambda: shapecnn.EvaluationSettings(split="validation"), "split = 'validation': use"),
        (lambda: shapecnn.EvaluationSettings(protocol="mvccn"), "protocol = 'mvccn': .* Did you mean 'mvcnn'"),
        (lambda: shapecnn.evaluate("run", "views", "val"), "settings = 'val': give an EvaluationSettings"),
        (lambda: shapecnn.prepare("meshes", "new", labels="folders"), "labels = 'folders': .* Did you mean 'folder'"),
        (lambda: shapecnn.prepare("meshes", "new", layout="files!"), "layout = 'files!': "),
        (lambda: shapecnn.prepare(["meshes"], "new"), "collection = list: give one path"),
        (lambda: shapecnn.prepare("meshes", "new", {"size": 64}), "settings = {'size': 64}: give ViewSettings"),
        (lambda: shapecnn.update_index("meshes", "new", labels="bogus"), "labels = 'bogus': "),
        (lambda: shapecnn.draw_views(CUBE, shapecnn.VoxelSettings()), "give ViewSettings"),
        (lambda: shapecnn.compare([shapecnn.open_model("run")], "views"), "compare takes the names of models"),
        (lambda: shapecnn.explain("run", CUBE, up="Y"), "up = 'Y': use 'x', 'y' or 'z'"),
        (lambda: shapecnn.compare([], "views"), "compare needs at least one model"),
        (lambda: shapecnn.evaluate("run", shapecnn.draw_views(CUBE)), "data = Views: give a folder of artefacts"),
        (lambda: shapecnn.train("demo-mvcnn", "views", "new", settings="seed=1"), "settings = 'seed=1': give a dict"),
        (lambda: shapecnn.open_model(shapecnn.open_model("run")), "name = Predictor: give the folder of a run"),
        (lambda: shapecnn.open_model("run", workers="2"), "workers = '2': give a number of processes"),
        (lambda: shapecnn.prepare("meshes", "new", workers=0), "--workers must be a whole number of at least 1, not 0"),
        (lambda: shapecnn.open_index("index").query_pictures(np.zeros((8, 8))), "ndarray is not the path of a picture"),
        (lambda: shapecnn.open_index("index").query_pictures([3]), "int is not the path of a picture"),
        (lambda: shapecnn.Workers(0), "--workers must be a whole number of at least 1, not 0"),
    ],
)
def test_a_wrong_argument_is_said_in_a_sentence_before_anything_is_written(
    call: Callable[[], object], sentence: str, world: Path
) -> None:
    with pytest.raises(shapecnn.errors.UsageError, match=sentence):
        call()
    assert not Path("new").exists()


FORKED = """
import os, shapecnn
model = shapecnn.open_model("run", device="cpu", workers=1)
top = model.predict("meshes/box/train/0.off")[0].top
child = os.fork()
if child == 0:
    print(model.predict("meshes/box/train/0.off")[0].top == top, flush=True)
    os._exit(0)
os.waitpid(child, 0)
"""


def test_an_open_model_works_in_a_forked_child(world: Path) -> None:
    """Regression: the child waited without end for threads of the engine that only its parent has."""
    done = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr


def test_an_error_of_one_mesh_names_the_mesh(world: Path) -> None:
    with pytest.raises(shapecnn.errors.MeshError, match=r"^nowhere\.off: there is no such file"):
        shapecnn.load_mesh("nowhere.off")


def test_a_note_is_a_warning_unless_it_is_asked_for(world: Path) -> None:
    (world / "meshes" / "loop").symlink_to(world)
    told: list[str] = []
    shapecnn.prepare("meshes", "first", shapecnn.VoxelSettings(resolution=8, padding=1), workers=1, say=told.append)
    with pytest.warns(shapecnn.errors.Caution, match="skipped a folder that leads to a parent folder") as warned:
        shapecnn.prepare("meshes", "second", shapecnn.VoxelSettings(resolution=8, padding=1), workers=1)
    assert told == [str(one.message) for one in warned]


def test_an_empty_list_of_explanations_is_shown(world: Path) -> None:
    assert shapecnn.explain("run", [])._repr_html_() == "<p>(nothing)</p>"


def test_results_print_what_counts(world: Path) -> None:
    comparison = shapecnn.compare(["run", "run:scores"], "views", shapecnn.EvaluationSettings(split="train"))
    assert "not significant" in repr(comparison)
    measured = ValidationFigures(8, 0.5, 0.75, 0.75, None)
    assert repr(shapecnn.TrainingResult(Path("run"), 3, 2, measured, None, 1.0)) == (
        "<TrainingResult run: 3 epochs, validation accuracy 75.0% of 8 shapes, "
        "not calibrated: fewer than 20 shapes were held out>"
    )


def test_a_callback_must_not_call_the_model_again(world: Path) -> None:
    model = shapecnn.open_model("run", device="cpu")
    with pytest.raises(shapecnn.errors.UsageError, match="progress function called the model"):
        model.predict(CUBE, progress=lambda _done, _total: model.predict(CUBE))
    assert model.predict(CUBE)[0].label == "box"


def test_a_query_in_memory_is_shown_as_it_is(world: Path) -> None:
    box = trimesh.load(CUBE)
    box.metadata["file_name"] = "meshes/round/train/0.off"  # a file of another shape
    index = shapecnn.open_index("index", device="cpu")
    by_mesh, by_file = index.query(box, 1)._repr_html_(), index.query(CUBE, 1)._repr_html_()
    picture = re.search("base64,[^&]+", by_file)
    assert picture is not None
    assert picture.group(0) in by_mesh


def test_paths_may_be_path_objects(world: Path) -> None:
    assert shapecnn.open_model(Path("run")).classes
    assert shapecnn.compare(Path("run"), Path("views"), shapecnn.EvaluationSettings(split="train")).rows()


def test_a_mesh_that_cannot_be_used_keeps_its_place(world: Path) -> None:
    model = shapecnn.open_model("run", device="cpu")
    predictions = model.predict([CUBE, "missing.off"])
    assert predictions[0].error is None
    assert (predictions[1].label, predictions[1].score, predictions[1].unknown) == (None, None, None)
    assert "there is no such file" in str(predictions[1])
    features = model.features(["missing.off", CUBE])
    assert np.isnan(features.values[0]).all()
    assert np.linalg.norm(features.values[1]) == pytest.approx(1, abs=1e-5)
    assert list(features.errors) == [0]
    assert np.asarray(features).shape == features.to_frame().shape == features.values.shape
    nothing = model.features([])
    assert (len(nothing), nothing.values.shape) == (0, (0, 0))


def test_the_command_says_the_same(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from shapecnn.cli.main import cli

    cli(["predict", "run", CUBE, "--json", "--device", "cpu"], standalone_mode=False)
    (answer,) = json.loads(capsys.readouterr().out)
    (prediction,) = shapecnn.open_model("run", device="cpu").predict(CUBE)
    assert (answer["label"], answer["score"]) == (prediction.label, prediction.score)
    assert answer["familiarity"] == prediction.familiarity


def test_a_model_without_classes_has_features_alone(world: Path) -> None:
    small = {"backbone": "test_efficientnet", "weights": "none", "size": 32}
    model = shapecnn.open_model("@imagenet", small, device="cpu")
    assert model.classes == ()
    with pytest.raises(shapecnn.errors.UsageError, match="@imagenet has no classes"):
        model.predict(CUBE)
    assert model.features(CUBE).values.shape == (1, 256)


def test_results_show_themselves(world: Path) -> None:
    model = shapecnn.open_model("run", device="cpu")
    index = shapecnn.open_index("index", device="cpu")
    for result in (
        model.predict([CUBE, "missing.off"]),
        model.features(CUBE),
        shapecnn.explain(model, [CUBE, "missing.off"]),
        index.query([CUBE, "missing.off"], 2),
        shapecnn.evaluate(model, "views", shapecnn.EvaluationSettings(split="train"), device="cpu"),
        shapecnn.compare(["run", "run:scores"], "views", shapecnn.EvaluationSettings(split="train"), device="cpu"),
    ):
        assert len(repr(result)) < 4000
        assert set(result.to_frame().columns)
        assert result._repr_html_().startswith("<")
    assert repr(model) == "<Predictor run: 3 classes, views>"
    assert repr(index).startswith("<Searcher index: 9 shapes, mvcnn trained in ")
    assert index.query(CUBE, 2)._repr_html_().count("data:image/png;base64") >= 3  # the query and its two answers


def test_views_and_grids_are_pictures_and_arrays(tmp_path: Path) -> None:
    box = trimesh.creation.box((1, 2, 3))
    views = shapecnn.draw_views(box, shapecnn.ViewSettings(views=4, size=32))
    grids = shapecnn.voxelize(box, shapecnn.VoxelSettings(resolution=16, padding=1, rotations=3))
    for result, shape in ((views, (4, 32, 32)), (grids, (3, 16, 16, 16))):
        assert np.asarray(result).shape == shape
        assert len(result) == len(list(result)) == shape[0]
        assert result[1].shape == shape[1:]
        assert result._repr_png_().startswith(b"\x89PNG")
        result.save(tmp_path / "file")
        assert (tmp_path / "file").stat().st_size > 0
    assert views.azimuths.tolist() == [0, 90, 180, 270]
    assert views.elevations.round(6).tolist() == [30] * 4
    again = shapecnn.draw_views(shapecnn.load_mesh(box), shapecnn.ViewSettings(views=4, size=32))
    assert (again.pictures == views.pictures).all()
