"""The page of filters: one complete file with every filter, its places and what is dead."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from shapecnn.artefacts.manifest import Entry
from shapecnn.artefacts.reading import open_artefacts
from shapecnn.filters.learned import learned_filters
from shapecnn.filters.results import Filter, FilterLayer, LearnedFilters, Place
from shapecnn.models.input import InputArray
from shapecnn.models.model import resolve_model
from shapecnn.report.filter_pictures import SIDE, view_crop
from shapecnn.report.filters import LISTED, OVERVIEW, filters_page
from shapecnn.settings.networks import LinearSettings
from tests.filters.planted import (
    LENET,
    LUMP,
    MARK,
    VOXRESNET,
    lumpy_grids,
    marked_views,
    plant_pattern,
    write_planted_run,
)
from tests.report.browser import BROWSER, overflowing
from tests.report.parsed import Page
from tests.report.safe import require_safe

LONG = "a_long_name_of_a_file_that_somebody_has_exported_from_a_program_" * 3


def look(run: Path, data: Path, *layers: str, filters: int = 16) -> LearnedFilters:
    model, artefacts = resolve_model(str(run)), open_artefacts(data)
    return learned_filters(model, artefacts, layers=layers, filters=filters, device="cpu")


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> LearnedFilters:
    folder = tmp_path_factory.mktemp("page of views")
    data = marked_views(folder / "views")
    return look(write_planted_run(folder / "run", data, LENET, lambda network: plant_pattern(network, MARK, 4)), data)


@pytest.fixture(scope="module")
def grids(tmp_path_factory: pytest.TempPathFactory) -> LearnedFilters:
    folder = tmp_path_factory.mktemp("page of grids")
    data = lumpy_grids(folder / "grids")
    run = write_planted_run(folder / "run", data, VOXRESNET, lambda network: plant_pattern(network, LUMP, 1))
    return look(run, data, "conv1", "block1", "last")


def test_a_filter_is_shown_with_weights_saliency_and_its_places_in_order(views: LearnedFilters) -> None:
    page = Page(filters_page(views))
    first, second = page.sections
    assert first.startswith("conv1 6 filters. An activation depends on at most 6 × 6 pixels.")
    assert (
        "5 filters are dead: in these shapes, the activation is nowhere above 0. The numbers: 0, 1, 2, 3, 5." in first
    )
    assert "Filter 4 weights saliency slab 0.500 bar 0.00" in first
    assert second.startswith("conv2 16 filters. An activation depends on at most 16 × 16 pixels.")
    pictures = {attributes["alt"]: picture for (tag, attributes), picture in zip(
        [element for element in page.elements if element[0] == "img"], page.pictures(), strict=True
    )}  # fmt: skip
    where = "slab/train/2.off, view 7, rows 14 to 19, columns 8 to 13"
    crop = pictures[f"place in {where}"]
    assert np.array_equal(crop[:5, 1:], 255 * (1 - MARK))
    assert np.array_equal(pictures[where], views.read(views.layers[0].filters[0].strongest[0].entry)[7])
    assert (pictures["weights of conv1, Filter 4"][MARK == 1] == (200, 30, 20)).all()
    assert pictures["saliency of the strongest place of conv1, Filter 4"].shape == (6, 6, 3)
    frames = [attributes for tag, attributes in page.elements if tag == "rect"]
    assert frames[0] == {"x": "25.0%", "y": "43.75%", "width": "18.75%", "height": "18.75%"}
    assert [tag for tag, attributes in page.elements if attributes.get("class") == "dead"] == ["figure"] * 5


def test_grids_are_drawn_with_their_places(grids: LearnedFilters) -> None:
    page = Page(filters_page(grids))
    first, second, third = page.sections
    assert "An activation depends on at most 5 × 5 × 5 cells." in first
    assert "An activation depends on at most 13 × 13 × 13 cells." in second
    assert "An activation depends on the whole grid." in third
    titles = [attributes["title"] for _, attributes in page.elements if "title" in attributes]
    assert titles[0] == "block/train/4.off, rotation 3, x 4 to 8, y 10 to 14, z 12 to 16"
    assert "slices from bottom to top" in page.text
    assert "The upper picture is the place that the activation depends on, the lower one the whole grid" in page.text
    sizes = {picture.shape[:2] for picture in page.pictures()}
    assert sizes == {(SIDE, SIDE), (11, 17)}  # five slices in two rows of three


def test_each_shape_is_read_once(grids: LearnedFilters) -> None:
    names = []

    def note(entry: Entry) -> InputArray:
        names.append(entry.id)
        return grids.read(entry)

    filters_page(replace(grids, read=note))
    assert len(names) == len(set(names)) == 6


def test_classes_have_templates(tmp_path: Path) -> None:
    data = marked_views(tmp_path / "views")
    run = write_planted_run(tmp_path / "run", data, LinearSettings(), lambda _: None)
    page = Page(filters_page(look(run, data, filters=2)))
    (section,) = page.sections
    assert section.startswith("classifier 3 outputs. An activation depends on the whole view.")
    assert "what the network computes for a single view: a logit, or the quantity. The first 2 follow." in section
    assert "bar weights saliency" in section
    assert "block weights saliency" in section
    assert "slab weights" not in section
    assert "The upper picture" not in page.text


def made_up(name: str, count: int = 400) -> LearnedFilters:
    """A layer with many dead filters, and shapes with the given name."""
    entry = Entry(f"{name}/train/{name}.off", name, "train", None, "ok", None)
    place = Place(entry, 0, ((0, 3), (2, 5)), 123456.789)
    filters = tuple(Filter(k, None, (place,) * 9, np.ones((3, 3), np.float32)) for k in range(2))
    dead = tuple(range(2, count - 2))
    weights = np.zeros((count, 1, 3, 3), np.float32)
    layers = (
        FilterLayer(name, count, filters, dead, (3, 3), weights, True, True),
        FilterLayer("labels", 3, (Filter(0, name, (place,)),), (), None),
    )
    grey = np.full((1, 8, 8), 90, np.uint8)
    return LearnedFilters(f"/runs/{name}", f"/data/{name}", "train", "views", 8, 1, layers, lambda _: grey)


def test_what_is_not_shown_is_counted() -> None:
    page = Page(filters_page(made_up("chair")))
    section = page.sections[0]
    assert f"The weights of the first {OVERVIEW} are shown." in section
    assert "The 2 with the strongest activations follow." in section
    assert "396 filters are dead: in these shapes, the activation is nowhere above 0. The numbers: 2, 3, 4, " in section
    assert f"{LISTED + 1} and {396 - LISTED} more." in section
    assert "Each position has weights of its own" in section
    assert "cut off in the network (ReLU6)" in section
    assert (
        sum(attributes["alt"].startswith("weights of") for tag, attributes in page.elements if tag == "img")
        == OVERVIEW + 2
    )


def test_it_needs_no_network_and_escapes_names() -> None:
    forged = '<script>alert("1")</script>\x1b[2J'
    source = filters_page(made_up(forged))
    page = require_safe(source)
    assert "b" not in {tag for tag, _ in page.elements if tag != "body"}
    assert "\x1b" not in source
    assert '<script>alert("1")</script>\\x1b[2J' in page.text


def test_it_is_the_same_every_time(views: LearnedFilters) -> None:
    assert filters_page(views) == filters_page(views)


def test_a_view_crop_has_the_scale_of_the_layer(views: LearnedFilters) -> None:
    """A place that the border cuts off is as large on the page as the others."""
    layer = views.layers[1]
    cut = replace(layer.filters[0].strongest[0], box=((0, 4), (0, 16)))
    crop = view_crop(views.read(cut.entry)[0], cut.box, max(layer.field or ()))
    assert crop.shape == (16, 16)


@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium to measure in")
def test_nothing_leaves_its_card_and_nothing_is_cut_off(
    views: LearnedFilters, grids: LearnedFilters, tmp_path: Path
) -> None:
    pages = {"views": filters_page(views), "grids": filters_page(grids), "long": filters_page(made_up(LONG, 20))}
    assert overflowing(pages, tmp_path) == []
