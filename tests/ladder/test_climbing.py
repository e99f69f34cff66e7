"""The ladder from meshes to results: trained once, measured on the same shapes, continued where it stopped."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from matplotlib.figure import Figure

import shapecnn
from shapecnn.errors import MismatchError, TrainingError, UsageError
from shapecnn.ladder import Ladder, choose_rungs, climb
from shapecnn.report.ladder import headings, lines, page, table_rows, write_ladder
from shapecnn.report.ladder_curves import _curves, draw_curves
from shapecnn.settings.experiment import load_experiment
from shapecnn.workers.pool import Workers
from tests.evaluations import CLASSES, write_splits
from tests.solids import contents, write_solids

RUNGS = choose_rungs(["regression", "logistic-grids", "mlp", "logistic-sph", "sph"])


def ascent(collection: Path, out: Path, names: tuple[str, ...] = (), **options: object) -> Ladder:
    rungs = choose_rungs(names) if names else RUNGS
    return climb(collection, out, rungs, device="cpu", workers=Workers(1), **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_splits(tmp_path_factory.mktemp("meshes"), train=3, test=2)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ladder")


@pytest.fixture(scope="module")
def ladder(collection: Path, out: Path) -> Ladder:
    return ascent(collection, out)


def test_all_rungs_are_measured_on_the_same_shapes(ladder: Ladder) -> None:
    measured = ladder.comparison.measured
    assert [one.name for one in measured] == [rung.title for rung in RUNGS]
    assert {tuple(entry.id for entry in one.evaluation.entries) for one in measured} == {
        tuple(f"{label}/test/{k}.off" for label in CLASSES for k in (3, 4))
    }
    assert all(one.figures["mAP"].value is not None for one in measured)
    accuracies = [one.figures["accuracy"].value for one in measured]
    assert accuracies[0] is accuracies[4] is None  # neither a regression nor a descriptor alone classifies
    assert all(value is not None and value >= 0.5 for value in accuracies[1:4])
    assert [one.evaluation.regression is None for one in measured] == [False, True, True, True, True]


def test_what_is_finished_is_not_done_again(ladder: Ladder, collection: Path, out: Path) -> None:
    before = contents(out)
    heard: list[str] = []
    again = ascent(collection, out, say=heard.append)
    assert contents(out) == before
    assert [text for text in heard if "epoch" in text] == []
    assert [rung["training_seconds"] for rung in again.to_json()["rungs"]] == [
        rung["training_seconds"] for rung in ladder.to_json()["rungs"]
    ]


def test_a_metric_is_learned_for_the_rung_that_compares_by_it(tmp_path: Path, collection: Path) -> None:
    changes = {"network.backbone": "test_efficientnet", "network.weights": "none", "stages.pooled.train_from": None}
    settings = {**changes, "stages.pooled.epochs": 1}
    result = ascent(collection, tmp_path / "out", ("mvcnn", "mvcnn-metric"), settings=settings)
    assert [one.evaluation.feature for one in result.comparison.measured] == ["penultimate", "metric"]
    assert (tmp_path / "out" / "runs" / "mvcnn" / "metric.json").exists()
    assert list(result.trainings) == ["mvcnn"]
    first, second = page(result).split("<section")[1:]
    assert "Filters: " in first
    assert "Filters: " not in second  # it has the same network


def test_other_settings_for_a_finished_training_are_refused(ladder: Ladder, collection: Path, out: Path) -> None:
    with pytest.raises(MismatchError, match=r"other settings \(seed was 0 and is now 3\)\. .*--overwrite"):
        ascent(collection, out, ("logistic-grids",), settings={"seed": 3})
    with pytest.raises(MismatchError, match=r"hidden was \[256\] and is now \[9\]"):  # a list of numbers
        ascent(collection, out, ("mlp",), settings={"network.hidden": [9]})


def test_results_of_other_settings_are_not_taken_for_those_of_the_config(collection: Path, tmp_path: Path) -> None:
    ascent(collection, tmp_path / "out", ("mlp",), settings={"stages.grids.epochs": 1})
    with pytest.raises(MismatchError, match="epochs was 1 and is now 30"):
        ascent(collection, tmp_path / "out", ("mlp",))


@pytest.mark.parametrize("settings", [{"one_vs_rest": "bar"}, {"target": "volume"}])
def test_all_systems_predict_the_same_classes(settings: dict[str, str], collection: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the ladder compares how all systems tell the same classes apart"):
        ascent(collection, tmp_path / "out", ("logistic-grids", "sph"), settings=settings)


def test_a_damaged_network_is_one_failed_system_and_can_be_replaced(collection: Path, tmp_path: Path) -> None:
    out, names = tmp_path / "out", ("logistic-grids", "sph")
    ascent(collection, out, names)
    (out / "runs" / "logistic-grids" / "config.yaml").write_text("seed: 1")
    heard: list[str] = []
    result = ascent(collection, out, names, say=heard.append)
    assert list(result.failed) == ["logistic-grids"]
    assert "config.yaml" in result.failed["logistic-grids"]
    assert not ascent(collection, out, names, overwrite=True).failed


def test_meshes_that_cannot_be_used_are_named_and_one_test_shape_is_too_few(tmp_path: Path) -> None:
    meshes = write_splits(tmp_path / "meshes", train=3, test=1)
    broken = next(meshes.glob("*/train/*.off"))
    broken.write_bytes(b"garbage")
    heard: list[str] = []
    result = ascent(meshes, tmp_path / "out", ("sph",), say=heard.append)
    assert heard[0].startswith(f"Failed: {broken}: ")
    assert heard[1] == "1 mesh could not be used for grids64."
    assert heard[-1] == "Retrieval was not measured: no class has two test shapes."
    write_ladder(tmp_path / "report", result)


def test_overwrite_replaces_what_was_made_with_other_settings(collection: Path, tmp_path: Path) -> None:
    out, names = tmp_path / "out", ("logistic-grids", "sph")
    ascent(collection, out, names)
    with pytest.raises(MismatchError, match="--overwrite"):
        ascent(collection, out, names, up="y")
    ascent(collection, out, names, up="y", overwrite=True)
    ascent(collection, out, names, up="y", overwrite=True, settings={"seed": 3})
    assert load_experiment(str(out / "runs" / "logistic-grids" / "config.yaml")).seed == 3
    before = contents(out / "runs")
    ascent(collection, out, names, up="y", overwrite=True, settings={"seed": 3})
    assert contents(out / "runs") == before  # what has these settings is kept


def test_wrong_settings_are_refused_before_anything_is_written(collection: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"network\.kernel"):
        ascent(collection, tmp_path / "out", ("logistic-grids",), settings={"network.kernel": 3})
    assert not (tmp_path / "out").exists()


def test_a_setting_changes_the_systems_that_have_it(collection: Path, tmp_path: Path) -> None:
    settings = {"stages.grids.epochs": 2, "seed": 5}
    result = ascent(collection, tmp_path / "out", ("logistic-grids", "mlp"), settings=settings)
    assert result.trainings["mlp"].epochs == 2
    seeds = [load_experiment(str(tmp_path / "out" / "runs" / name / "config.yaml")).seed for name in result.trainings]
    assert seeds == [5, 5]


def test_a_system_that_cannot_be_trained_does_not_stop_the_others(collection: Path, tmp_path: Path) -> None:
    heard: list[str] = []
    settings = {"stages.grids.learning_rate": 1e30}
    result = ascent(collection, tmp_path / "out", ("logistic-grids", "mlp", "sph"), settings=settings, say=heard.append)
    assert [rung.name for rung in result.rungs] == ["logistic-grids", "sph"]
    assert list(result.failed) == list(result.to_json()["failed"]) == ["mlp"]
    assert any("failed; the other systems are measured without it." in text for text in heard)
    assert "Without mlp, which failed: " in page(result)
    with pytest.raises(TrainingError):
        ascent(collection, tmp_path / "out", ("mlp",), settings=settings)


def test_a_collection_without_splits_is_refused(tmp_path: Path) -> None:
    write_solids(tmp_path / "meshes")
    with pytest.raises(UsageError, match=r"needs meshes in the splits train and test, but .*grids has 0 and 0\."):
        ascent(tmp_path / "meshes", tmp_path / "out", ("logistic-grids",))


def test_a_report_has_every_rung(ladder: Ladder, tmp_path: Path) -> None:
    write_ladder(tmp_path, ladder)
    files = contents(tmp_path)
    assert files.keys() == {"SHA256SUMS", "ladder.json", "ladder.csv", "pr.svg", "pr.png", "report.html"}
    assert json.loads(files["ladder.json"]) == ladder.to_json()
    html = files["report.html"].decode()
    for rung in RUNGS:
        assert f'id="{rung.name}"' in html
        assert rung.title in html
    assert "://" not in html.replace("http://www.w3.org", "")
    assert len(files["ladder.csv"].splitlines()) == 1 + len(RUNGS)
    assert html.count("R² of the area") == 1


def test_the_legend_leaves_the_published_curves_free(ladder: Ladder) -> None:
    """The names of the systems stand between the plots; two systems with the same features share a line."""
    figure = Figure()
    draw_curves(figure, _curves(ladder.comparison), "")
    figure.draw_without_rendering()
    here, there = figure.axes
    legend = here.get_legend()
    assert legend is not None
    assert legend.get_window_extent().y0 > there.get_tightbbox().y1
    names = [text.get_text().replace("\n", " ") for text in legend.get_texts()]
    assert len(names) == len(here.lines) < len(RUNGS)
    assert any(
        name.endswith("Logistic regression on voxels = Linear regression of the surface area")
        or name.endswith("Linear regression of the surface area = Logistic regression on voxels")
        for name in names
    )
    published = there.get_legend()
    assert published is not None
    assert published.get_window_extent().x0 > there.get_window_extent().x0 + 0.2 * there.get_window_extent().width


def test_networks_show_their_filters(ladder: Ladder) -> None:
    assert list(ladder.filters) == ["regression", "logistic-grids", "mlp"]
    sections = page(ladder).split("<section")[1:]
    shown = {rung.name: section for rung, section in zip(RUNGS, sections, strict=True)}
    templates = shown["logistic-grids"]
    assert "Filters: classifier." in templates
    assert [f'alt="weights of classifier, {label}"' in templates for label in CLASSES] == [True] * 3
    assert 'alt="place in ' in templates
    assert "Filters: hidden1." in shown["mlp"]
    assert "Filters: " not in shown["logistic-sph"]
    assert "Filters: " not in shown["sph"]


def test_a_rung_is_compared_with_the_one_below(ladder: Ladder) -> None:
    html = page(ladder)
    for change in ("hidden units between the voxels and the classifier", "an engineered descriptor in place of voxels"):
        sentence = rf"Compared with Logistic regression on voxels \({change}\), accuracy is .* and mAP is .*\."
        assert re.search(sentence, html), change
    assert html.count("Compared with ") == 2  # the rungs below the others were not climbed


def test_the_page_says_why_curves_are_fewer_and_links_rows_to_sections(ladder: Ladder) -> None:
    html = page(ladder)
    assert "Systems with the same results share a curve" in html
    for rung in RUNGS:
        assert f'<a href="#{rung.name}">{rung.title}</a>' in html
        assert f'<section id="{rung.name}"' in html


def test_it_prints_as_a_table_and_is_a_page_in_a_notebook(ladder: Ladder) -> None:
    assert [row["rung"] for row in ladder.rows()] == [rung.name for rung in RUNGS]
    assert repr(ladder).split("\n")[-1].startswith("sph ")
    assert shapecnn.climb_ladder  # who has a ladder has loaded the module that shows it
    assert "<iframe" in ladder._repr_html_()


def test_the_table_is_in_columns(ladder: Ladder) -> None:
    rows = table_rows(ladder)
    assert [row[0] for row in rows] == [rung.title for rung in RUNGS]
    names = headings(ladder)
    assert names == ["rung", "input", "accuracy", "mAP", "NN", "parameters", "training", "ms a shape"]
    assert {len(row) for row in rows} == {len(names)}
    assert [row[names.index("parameters")] for row in rows] == ["27.0 k", "81.0 k", "1.5 k", "6.91 M", "0"]
    printed = lines(ladder)
    assert printed[0].split() == " ".join(names).split()
    assert printed[len(RUNGS) + 1].startswith("Linear regression of the surface area: R² of the area ")
