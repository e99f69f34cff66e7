"""The evaluation page: one complete file with the right figures, mistakes and query results."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from shapecnn.artefacts.manifest import Entry
from shapecnn.evaluation.classification import classify
from shapecnn.evaluation.results import Evaluation, FeatureSet
from shapecnn.evaluation.retrieval.protocols import mvcnn, shapenets, shrec16
from shapecnn.report import neighbours as module
from shapecnn.report.evaluation import evaluation_page, figures
from shapecnn.report.thumbnails import thumbnail
from tests.report.parsed import Page
from tests.report.safe import require_safe

CLASSES = ["bed", "chair", "desk"]
VIEWS = np.random.default_rng(3).integers(0, 255, (24, 12, 100, 100), np.uint8)


def made(rotations: int = 1, names: list[str] | None = None) -> Evaluation:
    """24 shapes with random scores and features, in which classes lean to their own."""
    generator = np.random.default_rng(0)
    classes = names or CLASSES
    labels = [classes[k % 3] for k in range(24)]
    entries = [Entry(f"{label}/{k:02}.off", label, "test", None, "ok", None) for k, label in enumerate(labels)]
    own = np.eye(3, dtype=np.float32)[np.arange(24) % 3]
    scores = generator.random((24, 3)).astype(np.float32) + own / 6
    scores /= scores.sum(axis=1, keepdims=True)
    features = generator.normal(size=(24, rotations, 3)).astype(np.float32) + own[:, None]
    items = FeatureSet(entries, features)
    return Evaluation(
        model="my run",
        data="views",
        split="test",
        subset=None,
        entries=entries,
        classification=classify(labels, scores, classes),
        scores=scores,
        retrieval=shapenets(features, labels) if rotations > 1 else mvcnn(features[:, 0], labels),
        feature="penultimate",
        queries=items,
        gallery=items,
        intervals={
            "accuracy": (0.4, 0.6),
            "mean_class_accuracy": (0.3, 0.7),
            "mAP": (0.2, 0.8),
            "mAP_macro": (0.2, 0.8),
        },
        seed=0,
        engine={"engine": "openvino", "precision": "float32", "device": "cpu"},
    )


def section(page: Page, title: str) -> str:
    """The text of the page's section that begins with a title."""
    return next(text for text in page.sections if text.startswith(title))


def read(entry: Entry) -> NDArray[np.uint8]:
    return VIEWS[int(entry.id[-6:-4])]


def test_it_is_one_file_and_runs_nothing() -> None:
    require_safe(evaluation_page(made(), read))
    require_safe(evaluation_page(made(rotations=2), lambda _: np.zeros((2, 4, 4, 4), np.uint8)))


def test_charts_are_inside_with_their_values_and_rules() -> None:
    evaluation = made()
    page = Page(evaluation_page(evaluation, read))
    text = " ".join(page.text.split())
    for name in ("Retrieval", "Queries and their results"):
        assert f"{name} Protocol mvcnn: 24 queries, gallery of 23, the query itself not included · AP: mean of" in text
    assert evaluation.retrieval is not None
    for k, precision in enumerate(evaluation.retrieval.pr11 or []):
        assert f"my run: precision {precision:.3f} at recall {k / 10:.1f}" in text
    counts = [int(count) for count in re.findall(r"(\d+) shapes?: mean confidence", text)]
    assert sum(counts) == 24
    drawn = figures(evaluation)  # the files beside the page
    assert sorted(drawn) == ["confusion.svg", "pr.svg", "reliability.svg"]
    assert all(b"my run on views, split test" in svg for svg in drawn.values())


def test_tables_hold_the_figures() -> None:
    evaluation = made()
    assert evaluation.classification is not None
    assert evaluation.retrieval is not None
    text = " ".join(Page(evaluation_page(evaluation, read)).sections)
    assert f"accuracy {100 * evaluation.classification.accuracy:.1f} % 40.0 % to 60.0 %" in text
    assert f"mean average precision {100 * evaluation.retrieval.mAP:.1f} % 20.0 % to 80.0 %" in text
    assert f"nearest neighbour {100 * evaluation.retrieval.NN:.1f} %" in text
    for label, one in evaluation.classification.per_class.items():
        assert (
            f"{label} {one.count} {100 * one.accuracy:.1f} % {100 * one.precision:.1f} % {100 * one.f1:.1f} %" in text
        )


def test_the_most_confident_mistakes_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    evaluation = made()
    wrong = [p for p in evaluation.predictions() if p.predicted != p.label]
    wrong.sort(key=lambda p: -p.score)
    assert len(wrong) > 5
    mistakes = section(Page(evaluation_page(evaluation, read)), "Mistakes")
    first = f"{wrong[0].label} ✗ predicted {wrong[0].predicted}"
    assert mistakes.startswith(f"Mistakes {len(wrong)} of 24 shapes; most confident first · beside each, the 4 most")
    assert f"another {first}" in mistakes
    places = [mistakes.index(f"{p.id} · {p.label}") for p in wrong]
    assert places == sorted(places)
    monkeypatch.setattr(module, "MISTAKES", 5)
    source = evaluation_page(evaluation, read)
    mistakes = section(Page(source), "Mistakes")
    assert "of which the 5 most confident are shown; most confident first" in mistakes
    assert [f"{p.id} · {p.label}" in mistakes for p in wrong] == [True] * 5 + [False] * (len(wrong) - 5)
    entry = next(e for e in evaluation.entries if e.id == wrong[0].id)
    assert f'<img alt="{entry.id}" src="data:image/png;base64,{thumbnail(read(entry))}">' in source


def neighbours(source: str) -> list[tuple[str, list[tuple[str, str, str]]]]:
    """Id of each mistake on the page, with the verdict, the class and the id of each shape beside it."""
    found = []
    for block in source.split('<div class="mistake">')[1:]:
        own = re.findall(r'<div class="path">(.*?) · ', block)[0]
        beside = block[block.index("<ol") : block.index("</ol>")] if "<ol" in block else ""
        shape = r'class="verdict (right|wrong)">[✓✗] (.*?)</span>.*?<div class="path">(.*?)</div>'
        found.append((own, re.findall(shape, beside, re.DOTALL)))
    return found


@pytest.mark.parametrize("rotations", [1, 2])
def test_mistakes_stand_beside_their_nearest_neighbours(rotations: int) -> None:
    evaluation = made(rotations)
    grids = np.zeros((2, 4, 4, 4), np.uint8)
    shown = neighbours(evaluation_page(evaluation, read if rotations == 1 else lambda _: grids))
    ids = [entry.id for entry in evaluation.entries]
    assert [own for own, _ in shown]
    for own, beside in shown:
        (hits,) = evaluation.nearest([ids.index(own) * rotations], 24 * rotations)
        others = list(dict.fromkeys(hit.entry.id for hit in hits if hit.entry.id != own))[:4]
        assert [re.sub(", rotation .*", "", name) for _, _, name in beside] == others
        label = own.split("/")[0]
        assert [(verdict == "right") == (name == label) for verdict, name, _ in beside] == [True] * 4


def test_without_retrieval_mistakes_stand_alone() -> None:
    alone = replace(made(), retrieval=None, queries=None, gallery=None)
    source = evaluation_page(alone, read)
    assert {tuple(beside) for _, beside in neighbours(source)} == {()}
    assert "beside each" not in source


def test_right_and_wrong_are_told_by_signs_and_words() -> None:
    source = evaluation_page(made(), read)
    for kind, sign in (("right", "✓"), ("wrong", "✗")):
        verdicts = re.findall(rf'<span class="verdict {kind}">(.*?)</span>', source)
        assert verdicts
        assert all(re.fullmatch(rf"{sign} \S.*", verdict) for verdict in verdicts)
    page = Page(source)
    assert len([a for tag, a in page.elements if tag == "figure" and a.get("class") in ("right", "wrong")]) > 20


def test_cells_sort_by_numbers_and_not_by_their_text() -> None:
    evaluation = made()
    assert evaluation.classification is not None
    source = evaluation_page(evaluation, read)
    for one in evaluation.classification.per_class.values():
        assert f'<td class="number" data-value="{one.accuracy}">{100 * one.accuracy:.1f} %</td>' in source
    tables = re.findall(r'<table class="sortable">.*?</table>', source, re.DOTALL)
    assert len(tables) == 2  # of the classes, and of the values of the curve
    assert all(re.search(r'<th scope="col" class="number">', table) for table in tables)


def test_examples_are_the_worst_the_best_and_the_middle_of_each_class() -> None:
    evaluation = made()
    assert evaluation.retrieval is not None
    precisions = evaluation.retrieval.average_precisions
    text = section(Page(evaluation_page(evaluation, read)), "Queries")
    for why, value in (("worst", min(precisions)), ("best", max(precisions))):
        entry = evaluation.entries[precisions.index(value)]
        assert f"{entry.label}, the {why} query: AP {100 * value:.1f} % {entry.label} query {entry.id} 1 " in text
        (hits,) = evaluation.nearest([precisions.index(value)], 6)
        for rank, hit in enumerate(hits, start=1):
            mark = "✓ same class" if hit.entry.label == entry.label else "✗ other class"
            assert f" {rank} {hit.entry.label} {mark} {hit.similarity:.3f} {hit.entry.id}" in text
    for label in CLASSES:
        assert f"the median query of {label}" in text
    assert text.count(" query: AP ") == 2
    assert text.count(": AP ") == 2 + len(CLASSES)


def test_many_classes_are_spread_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EXAMPLES", 4)
    text = section(Page(evaluation_page(made(), read)), "Queries")
    assert [f"the median query of {label}" in text for label in ("bed", "desk", "chair")] == [True, True, False]


def test_rotations_are_told_apart() -> None:
    grids = np.zeros((24, 2, 10, 10, 10), np.uint8)
    grids[:, 0, :5], grids[:, 1, :, :5] = 1, 1
    evaluation = made(rotations=2)
    source = evaluation_page(evaluation, lambda entry: grids[int(entry.id[-6:-4])])
    text = section(Page(source), "Queries")
    assert "Protocol shapenets: 48 queries, gallery of 48, the query itself included" in text
    assert ", rotation 0" in text
    assert ", rotation 1" in text
    assert thumbnail(grids[0], 1) in source


def test_shrec16_shows_both_averages() -> None:
    evaluation = made()
    assert evaluation.queries is not None
    figures = shrec16(evaluation.queries.features[:, 0], evaluation.queries.labels)
    text = section(Page(evaluation_page(replace(evaluation, retrieval=figures), read)), "Retrieval")
    assert figures.shrec16 is not None
    assert f"macro NDCG {100 * figures.shrec16.macro.NDCG:.1f} %" in text
    assert f"micro F1 {100 * figures.shrec16.micro.F1:.1f} %" in text


def test_a_task_not_asked_for_has_no_section() -> None:
    evaluation = made()
    alone = replace(evaluation, retrieval=None, queries=None, gallery=None)
    assert [text.split()[0] for text in Page(evaluation_page(alone, read)).sections] == [
        "Classification",
        "Confusion",
        "Confused",
        "Mistakes",
    ]
    assert list(figures(alone)) == ["confusion.svg", "reliability.svg"]
    alone = replace(evaluation, classification=None, scores=None)
    assert [text.split()[0] for text in Page(evaluation_page(alone, read)).sections] == ["Retrieval", "Queries"]
    assert list(figures(alone)) == ["pr.svg"]


def test_without_mistakes_and_without_queries() -> None:
    evaluation = made()
    own = np.eye(3, dtype=np.float32)[np.arange(24) % 3]
    perfect = replace(
        evaluation, scores=own, classification=classify([str(e.label) for e in evaluation.entries], own, CLASSES)
    )
    assert "Mistakes 0 of 24 shapes" in section(Page(evaluation_page(perfect, read)), "Mistakes")
    few = FeatureSet(evaluation.entries[:3], evaluation.gallery.features[:3])  # type: ignore[union-attr]
    none = replace(evaluation, queries=few, gallery=few, retrieval=mvcnn(few.features[:, 0], few.labels))
    text = section(Page(evaluation_page(none, read)), "Retrieval")
    assert "0 queries (3 without a relevant item left out)" in text
    assert "mean average precision –" in text


def test_names_are_text_whatever_they_hold(tmp_path: Path) -> None:
    evaluation = made(names=["<b>bed</b>", "{{ 7*7 }}", '"><img src=x></script>'])
    page = require_safe(evaluation_page(replace(evaluation, model="<script>alert(1)</script>"), read))
    assert "b" not in {tag for tag, _ in page.elements}
    assert "<script>alert(1)</script> on views" in page.text
    assert "{{ 7*7 }}" in page.text
    assert all(a["src"].startswith("data:image/") for tag, a in page.elements if tag == "img")
