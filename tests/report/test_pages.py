"""The page of answers to queries: one complete HTML file in which every name is escaped."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest

from shapecnn.meshes.mesh import load_mesh
from shapecnn.models.model import resolve_model
from shapecnn.models.untrained import UntrainedModel
from shapecnn.report.pages import PICTURE, SHOWN_VIEWS, query_page
from shapecnn.search.index import Index, read_index
from shapecnn.search.neighbours import Hit
from shapecnn.search.plan import IndexPlan
from shapecnn.search.query import Answer, Searcher
from shapecnn.search.update import bring_up_to_date
from shapecnn.settings.views_and_grids import ViewSettings
from shapecnn.views import render_views
from shapecnn.workers.pool import Workers
from tests.report import safe
from tests.report.parsed import Page
from tests.solids import write_ball

Ask = Callable[..., list[Answer]]


@pytest.fixture(scope="module")
def index(solids_index: Path) -> Index:
    return read_index(solids_index)


@pytest.fixture
def ask(index: Index) -> Ask:
    model = UntrainedModel.of()
    return lambda *paths, k=3, up="z": Searcher(index, model, device="cpu").query([str(p) for p in paths], k, up=up)


def test_one_section_for_each_query_and_a_card_for_each_result(index: Index, ask: Ask, solids: Path) -> None:
    answers = ask(solids / "box/cube.off", solids / "round/cone.off")
    page = Page(query_page(answers, index, "my index"))
    assert len(page.sections) == 2
    assert len(page.pictures()) == 2 * (1 + 3)
    assert "9 shapes in my index" in page.text
    assert "tf_efficientnet_lite1, 12 views pooled by mean, adapted to the collection" in page.text
    for answer, text in zip(answers, page.sections, strict=True):
        assert text.startswith(Path(answer.path).name)
        places = []
        for rank, hit in enumerate(answer.hits, start=1):
            card = f"{rank} {Path(hit.shape.id).name} {hit.score:.3f} {hit.shape.label} · {hit.shape.id}"
            places.append(text.index(card))
        assert places == sorted(places)


def test_it_needs_no_network_and_runs_nothing_but_its_own_script(index: Index, ask: Ask, solids: Path) -> None:
    source = query_page(ask(solids / "box/cube.off"), index, "index")
    page = safe.require_safe(source)
    tags = {tag for tag, _ in page.elements}
    assert {"html", "head", "title", "body", "h1", "section", "figure", "img"} <= tags
    assert ("meta", {"charset": "utf-8"}) in page.elements


def test_pictures_are_the_views_of_the_meshes(index: Index, ask: Ask, solids: Path) -> None:
    query, first, *_ = Page(query_page(ask(solids / "round/cone.off"), index, "index")).pictures()
    assert query.shape == (PICTURE, SHOWN_VIEWS * PICTURE)
    assert np.array_equal(query, first)  # its own nearest
    for view in np.split(query, SHOWN_VIEWS, axis=1):
        assert view[0, 0] == 255
        assert 0.05 < (view < 255).mean() < 0.9


def test_a_result_in_two_answers_is_drawn_alike(index: Index, ask: Ask, solids: Path) -> None:
    pictures = Page(query_page(ask(solids / "box/cube.off", solids / "box/cube.off", k=9), index, "index")).pictures()
    assert all(np.array_equal(one, other) for one, other in zip(pictures[:10], pictures[10:], strict=True))


def test_the_query_is_drawn_upright_by_its_own_axis(index: Index, ask: Ask, solids: Path) -> None:
    cone = solids / "round/cone.off"
    standing, lying = (Page(query_page(ask(cone, up=up), index, "index")).pictures()[0] for up in "zy")
    assert not np.array_equal(standing, lying)


def test_names_are_text_whatever_they_hold(index: Index, ask: Ask, solids: Path, tmp_path: Path) -> None:
    name = "<script>alert('1')</script> & \"q\" {{ 7*7 }}.off"
    evil = tmp_path / name.replace("/", "\\")
    shutil.copy(solids / "box/cube.off", evil)
    items = [replace(item, id=name, label="<b>&amp;</b>", path=item.path) for item in index.shapes]
    source = query_page(ask(evil, tmp_path / f"missing {evil.name}"), replace(index, shapes=items), '"><img src=x>')
    hostile = [replace(a, hits=[replace(h, shape=items[0]) for h in a.hits]) for a in ask(evil)]
    source += query_page(hostile, replace(index, shapes=items), '"><img src=x>')
    page = safe.require_safe(source)
    assert "b" not in {tag for tag, _ in page.elements}
    assert evil.name in page.sections[0]
    assert evil.name in page.sections[1]
    assert name in page.sections[2]
    assert "<b>&amp;</b>" in page.sections[2]
    assert '"><img src=x>' in page.text
    assert len(page.pictures()) == sum(tag == "img" for tag, _ in page.elements)


def test_a_result_whose_mesh_is_gone_or_changed_keeps_its_place(solids: Path, tmp_path: Path, index: Index) -> None:
    meshes = shutil.copytree(solids, tmp_path / "meshes")
    bring_up_to_date(
        meshes, tmp_path / "index", IndexPlan.of(UntrainedModel.of()), command="", device="cpu", workers=Workers(1)
    )
    moved = read_index(tmp_path / "index")
    (answer,) = Searcher(moved, UntrainedModel.of(), device="cpu").query([str(solids / "box/cube.off")], 9, up="z")
    (meshes / "round" / "cone.off").unlink()
    write_ball(meshes / "box" / "cube.off")
    page = Page(query_page([answer], moved, "index"))
    assert len(page.pictures()) == 1 + 9 - 2
    text = page.sections[0]
    for gone in ("round · round/cone.off", "box · box/cube.off"):
        assert f"The mesh file is missing or has changed since it was indexed. {gone}" in text
    assert text.count("missing or has changed") == 2


def test_a_result_inside_a_zip_is_drawn(solids: Path, tmp_path: Path) -> None:
    packed = shutil.make_archive(str(tmp_path / "solids"), "zip", solids)
    bring_up_to_date(
        Path(packed),
        tmp_path / "index",
        IndexPlan.of(UntrainedModel.of()),
        command="",
        device="cpu",
        workers=Workers(1),
    )
    zipped = read_index(tmp_path / "index")
    answers = Searcher(zipped, UntrainedModel.of(), device="cpu").query([str(solids / "box/cube.off")], 9, up="z")
    query, first, *others = Page(query_page(answers, zipped, "index")).pictures()
    assert np.array_equal(query, first)
    assert len(others) == 8
    Path(packed).unlink()
    assert len(Page(query_page(answers, zipped, "index")).pictures()) == 1


def test_a_query_that_failed_says_why(index: Index, ask: Ask, solids: Path, tmp_path: Path) -> None:
    page = Page(query_page(ask(tmp_path / "nowhere.off", solids / "box/cube.off"), index, "index"))
    assert "nowhere.off could not be used: there is no such file" in page.sections[0]
    assert len(page.sections) == 2
    assert len(page.pictures()) == 4


def test_an_index_of_grids_is_shown_in_views(solids: Path, voxels_run: Path, tmp_path: Path) -> None:
    model = resolve_model(str(voxels_run))
    bring_up_to_date(
        solids, tmp_path / "index", IndexPlan.of(model, up="y"), command="", device="cpu", workers=Workers(1)
    )
    lying = read_index(tmp_path / "index")
    answers = Searcher(lying, model, device="cpu").query([str(solids / "round/cone.off")], 1, up="y")
    page = Page(query_page(answers, lying, "index"))
    query, result = page.pictures()
    assert query.shape == (PICTURE, SHOWN_VIEWS * PICTURE)
    assert np.array_equal(query, result)  # the collection is drawn with its own up
    assert f"9 shapes in index · voxresnet trained in {voxels_run} ·" in page.text


def test_meshes_without_a_known_up_are_shown_as_the_index_sees_them(solids: Path, tmp_path: Path) -> None:
    model = UntrainedModel.of(
        backbone="test_efficientnet", weights="none", size=32, neighbours=0, orientation="auto", fit="view"
    )
    bring_up_to_date(solids, tmp_path / "index", IndexPlan.of(model), command="", device="cpu", workers=Workers(1))
    free = read_index(tmp_path / "index")
    cone = solids / "round/cone.off"
    answers = [
        *Searcher(free, model, device="cpu").query([str(cone)], 1, up="z"),
        Answer("drawing.png", "z", [Hit(item, 1.0, 7) for item in free.shapes if item.id == "round/cone.off"],
               picture=np.full((32, 32), 255, np.uint8)),
    ]  # fmt: skip
    *_, view = pictures = Page(query_page(answers, free, "index")).pictures()
    drawn = render_views(load_mesh(cone), ViewSettings(size=PICTURE, orientation="auto"))
    assert np.array_equal(pictures[0], np.concatenate(list(drawn[::6]), axis=1))
    assert np.array_equal(view, drawn[7])


def test_a_shape_without_label_and_an_index_of_nothing(index: Index, ask: Ask, solids: Path) -> None:
    bare = [replace(item, label=None) for item in index.shapes]
    (answer,) = ask(solids / "box/cube.off", k=1)
    hits = [replace(answer.hits[0], shape=bare[1])]
    name, place = Path(bare[1].id).name, bare[1].id
    (section,) = Page(query_page([replace(answer, hits=hits)], index, "index")).sections
    assert section.endswith(f"1 {name} {hits[0].score:.3f} {place}")
    empty = Page(query_page([replace(answer, hits=[])], replace(index, shapes=[]), "index"))
    assert "0 shapes in index" in empty.text


def test_files_are_linked_from_the_page_and_named_by_no_absolute_path(
    index: Index, ask: Ask, solids: Path, tmp_path: Path
) -> None:
    meshes = tmp_path / "my meshes"
    shutil.copytree(solids, meshes)
    bring_up_to_date(
        meshes, tmp_path / "index", IndexPlan.of(UntrainedModel.of()), command="", device="cpu", workers=Workers(1)
    )
    (answer,) = ask(meshes / "box/cube.off")
    moved = read_index(tmp_path / "index")
    items = {item.id: item for item in moved.shapes}
    hits = [replace(hit, shape=items[hit.shape.id]) for hit in answer.hits]
    source = query_page(
        [replace(answer, hits=hits)], moved, str(tmp_path / "index"), tmp_path / "pages" / "answer.html"
    )
    links = re.findall('href="([^"]+)"', source)
    assert len(links) == 1 + len(hits)
    for found in links:
        assert (tmp_path / "pages" / unquote(found)).resolve().is_file()
    assert str(tmp_path) not in source
