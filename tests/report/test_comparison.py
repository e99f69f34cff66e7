"""A comparison as files: every curve and figure is there, what others published is told apart, nothing is claimed that
is not significant."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from shapecnn.evaluation.compare_results import Pair
from shapecnn.evaluation.retrieval.protocols import mvcnn
from shapecnn.report.comparison import (
    HEADINGS,
    csv_table,
    curves,
    lines,
    markdown,
    notes,
    page,
    rows,
    statements,
    write_comparison,
)
from shapecnn.report.published import CURVES
from shapecnn.storage.checksums import SUMS
from tests.report.comparisons import comparison, measured
from tests.report.safe import require_safe
from tests.report.test_figures import texts
from tests.solids import contents

SVG = "{http://www.w3.org/2000/svg}"
STRONG, WEAK = measured("strong", lean=2.0, seed=1), measured("weak:scores", lean=0.4, seed=2, left_out=7)
UNTRAINED = measured("@imagenet", lean=0.5, seed=3, classes=False)


def paths(svg: bytes, colour: str) -> list[tuple[list[list[float]], bool]]:
    """Points, and whether dashed, of the curves in one colour."""
    found = []
    for element in ElementTree.fromstring(svg).iter(f"{SVG}path"):
        style, numbers = element.get("style", ""), element.get("d", "").replace("M", " ").replace("L", " ").split()
        if f"stroke: {colour}" in style and len(numbers) == 22:
            found.append((np.array(numbers, float).reshape(11, 2).tolist(), "stroke-dasharray" in style))
    return found


def test_every_curve_goes_through_its_figures_and_only_those_of_others_are_dashed() -> None:
    svg = curves(comparison(STRONG, WEAK, UNTRAINED), published=True)
    drawn = [paths(svg, colour.lower()) for colour in ("#0072B2", "#D55E00", "#009E73")]
    assert [[dashed for _, dashed in lines] for lines in drawn] == [[False]] * 3
    theirs = paths(svg, "#8a929e")
    assert [dashed for _, dashed in theirs] == [True] * 3
    values = [one.evaluation.retrieval.pr11 for one in (STRONG, WEAK, UNTRAINED)]
    points = [np.array(lines[0][0]) for lines in drawn] + [np.array(line) for line, _ in theirs]
    # One and the same line turns every precision into a height.
    precision = np.concatenate([*values, *CURVES.values()])
    heights = np.concatenate(points)[:, 1]
    slope, offset = np.polyfit(precision, heights, 1)
    assert heights == pytest.approx(slope * precision + offset, abs=0.01)
    assert slope < 0  # SVG counts downwards


def test_without_being_asked_for_no_curves_of_others_are_drawn() -> None:
    svg = curves(comparison(STRONG, WEAK))
    assert paths(svg, "#8a929e") == []
    assert len(paths(svg, "#0072b2")) == len(paths(svg, "#d55e00")) == 1
    shown = texts(svg)
    assert {f"{one.name}: mAP {one.evaluation.retrieval.mAP:.3f}" for one in (STRONG, WEAK)} <= {*shown}
    assert not {"measured here:", "another data set, not to be compared:", *CURVES} & {*shown}


def test_the_figure_says_what_is_measured_and_what_is_another_data_set() -> None:
    shown = texts(curves(comparison(STRONG, WEAK), published=True))
    for one in (STRONG, WEAK):
        assert f"{one.name}: mAP {one.evaluation.retrieval.mAP:.3f}" in shown
    ours, other = shown.index("measured here:"), shown.index("another data set, not to be compared:")
    assert shown[other + 1] == "ModelNet40, as published"
    assert ours < shown.index(f"strong: mAP {STRONG.evaluation.retrieval.mAP:.3f}") < other
    assert all(shown.index(name) > other for name in CURVES)
    assert "61 shapes of split test" in shown
    assert (
        "Protocol mvcnn: 60 queries (1 without a relevant item left out), gallery of 60, the query itself"
        in " ".join(shown)
    )


def test_published_curves_are_those_of_the_authors_script() -> None:
    # pr40 of exp_scripts/prfigure.m, in whose legend they are Spherical Harmonic, Light Field, 3D ShapeNets.
    script = """
    1.0000    0.5767    0.4589    0.3738    0.3135    0.2703    0.2331    0.2031    0.1722    0.1383    0.0250
    1.0000    0.6796    0.5637    0.4768    0.4179    0.3639    0.3143    0.2654    0.2194    0.1662    0.0250
    1.0000    0.7184    0.6358    0.5793    0.5322    0.4842    0.4371    0.3928    0.3345    0.2533    0.0250
    """
    assert list(CURVES) == ["SPH", "LFD", "3D ShapeNets"]
    assert np.array_equal(np.array(script.split(), float).reshape(3, 11), list(CURVES.values()))
    for curve in CURVES.values():
        assert len(curve) == 11
        assert list(curve) == sorted(curve, reverse=True)
        assert curve[-1] == 1 / 40  # all of a class are found when all of 40 classes are shown


def test_the_png_is_the_same_figure() -> None:
    drawn = comparison(STRONG, WEAK)
    picture = Image.open(io.BytesIO(curves(drawn, "png")))
    assert picture.format == "PNG"
    assert picture.width > 1000
    assert picture.text == {}  # type: ignore[attr-defined]
    assert curves(drawn, "png") == curves(drawn, "png")
    names = comparison(replace(STRONG, contender=replace(STRONG.contender, name="n" * 60)), WEAK)
    assert Image.open(io.BytesIO(curves(names, "png"))).width > picture.width + 200  # nothing is cut off


def test_more_models_than_colours_are_told_apart_by_marks() -> None:
    many = [measured(f"model {k}", seed=k) for k in range(8)]
    shown = texts(curves(comparison(*many)))
    assert sum(line.startswith("model ") for line in shown) == 8


def test_only_what_is_significant_is_said() -> None:
    def pair(figure: str, difference: float, p: float, p_holm: float) -> Pair:
        interval = (difference - 0.02, difference + 0.01)
        return Pair(figure, "strong", "weak:scores", difference, interval, p, p_holm)

    made = comparison(STRONG, WEAK)
    said = [
        pair("accuracy", -0.1, 0.01, 0.02),
        pair("mAP", 0.2, 0.0001, 0.0003),
        pair("accuracy", 0.1, 0.03, 0.051),
    ]
    assert statements(replace(made, pairs=said)) == [
        "weak:scores is better than strong in accuracy, by 10.0 points (95 %: 9.0 to 12.0; p = 0.020).",
        "strong is better than weak:scores in mAP, by 20.0 points (95 %: 18.0 to 21.0; p < 0.001).",
    ]
    assert statements(replace(made, pairs=[said[2]])) == [
        "No model is better than another beyond chance (p > 0.05 for every pair)."
    ]
    assert statements(comparison(STRONG)) == []


def test_the_table_holds_every_figure() -> None:
    made = comparison(STRONG, UNTRAINED)
    ours, theirs = rows(made)
    assert len(ours) == len(theirs) == len(HEADINGS)
    for name, column in {"accuracy": "accuracy", "mean_class_accuracy": "mean class accuracy", "mAP": "mAP",
                         "mAP_macro": "macro mAP", "AUC": "AUC", "NN": "NN", "NDCG": "NDCG"}.items():  # fmt: skip
        value, interval = STRONG.figures[name]
        assert value is not None
        assert interval is not None
        expected = f"{100 * value:.1f} % ({100 * interval[0]:.1f}–{100 * interval[1]:.1f})"
        assert ours[HEADINGS.index(column)] == expected
    assert [theirs[HEADINGS.index(column)] for column in ("accuracy", "mean class accuracy")] == ["–", "–"]
    assert ours[-4:] == ["4", "3.40 M", "12.3", "0.45"]
    table = markdown(made).splitlines()
    assert table[2] == f"| {' | '.join(ours)} |"
    assert len({line.count("|") for line in table[:4]}) == 1
    assert lines(made)[1].split()[:2] == ["strong", f"{100 * STRONG.figures['mean_class_accuracy'].value:.1f}"]
    assert lines(made)[0].split("  ")[0] == "model"
    assert "macro mAP" in lines(made)[0]  # of unbalanced classes


def test_csv_holds_fractions_and_their_ends() -> None:
    first, second = csv.DictReader(io.StringIO(csv_table(comparison(STRONG, UNTRAINED))))
    for name, (value, interval) in STRONG.figures.items():
        assert float(first[name]) == value
        assert (float(first[f"{name}_low"]), float(first[f"{name}_high"])) == interval
    assert (second["accuracy"], second["accuracy_low"], second["name"]) == ("", "", "'@imagenet")  # no formula
    assert (first["parameters"], float(first["seconds_per_search"])) == ("3400000", 0.00045)


def test_notes_say_by_which_rules() -> None:
    said = "\n".join(notes(comparison(STRONG, WEAK)))
    assert "61 shapes of split test, the same for all models; weak:scores has 7 more, which were left out" in said
    assert "Protocol mvcnn: 60 queries" in said
    for word in ("McNemar", "permutation", "Holm", "one shape at a time", "whole gallery"):
        assert word in said


def test_the_page_is_one_file_that_runs_nothing_but_its_own_script() -> None:
    odd = replace(STRONG, contender=replace(STRONG.contender, name="<script>x</script> {{ 7 * 7 }} | $1$"))
    made = comparison(odd, WEAK)
    source = page(made)
    shown = require_safe(source)
    assert "<script>x</script> {{ 7 * 7 }} | $1$" in shown.text
    joined = " ".join(shown.text.split())
    for line in (*statements(made), *notes(made)):
        assert line in joined
    assert markdown(made).splitlines()[2].replace("\\|", "").count("|") == len(HEADINGS) + 1


def test_the_page_has_every_curve_with_its_values_and_sorts_by_numbers() -> None:
    made = comparison(STRONG, WEAK, UNTRAINED)
    source = page(made, published=True)
    text = " ".join(require_safe(source).text.split())
    for one in (STRONG, WEAK, UNTRAINED):
        retrieval = one.evaluation.retrieval
        assert retrieval is not None
        for k, precision in enumerate(retrieval.pr11 or []):
            name = f"{one.name}: mAP {retrieval.mAP:.3f}"
            assert f"{name}: precision {precision:.3f} at recall {k / 10:.1f}" in text
        value = one.figures["mAP"].value
        assert f'<td class="number" data-value="{value}">{100 * value:.1f} %' in source
    assert '<td class="number" data-value="">–</td>' in source  # no accuracy: it comes last
    assert source.count('<g class="series other dashed"><polyline points="0,6 30,6"/>') == len(CURVES)
    assert "as published" not in page(made)


def test_the_files_agree(tmp_path: Path) -> None:
    made = comparison(STRONG, WEAK)
    write_comparison(tmp_path / "out", made)
    files = contents(tmp_path / "out")
    made_of = ["comparison.csv", "comparison.json", "comparison.md", "pr.png", "pr.svg", "report.html"]
    assert sorted(files) == [SUMS, *made_of]
    assert json.loads(files["comparison.json"]) == made.to_json()
    assert files["pr.svg"] == curves(made)
    write_comparison(tmp_path / "out", made)
    assert contents(tmp_path / "out") == files
    write_comparison(tmp_path / "out", made, published=True)
    with_others = contents(tmp_path / "out")
    assert with_others["pr.svg"] == curves(made, published=True) != files["pr.svg"]
    assert with_others["pr.png"] == curves(made, "png", published=True)
    assert with_others["report.html"] == page(made, published=True).encode()
    assert with_others["comparison.json"] == files["comparison.json"]


def test_models_without_a_curve_need_no_legend() -> None:
    """Where no class has two shapes, matplotlib warned of a legend of nothing."""
    retrieval = mvcnn(np.eye(61, dtype=np.float32), [str(number) for number in range(61)])
    assert retrieval.pr11 is None
    without = replace(STRONG, evaluation=replace(STRONG.evaluation, retrieval=retrieval))
    assert "strong: mAP" not in " ".join(texts(curves(comparison(without))))
