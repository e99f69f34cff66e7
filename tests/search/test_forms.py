"""Every form of an index is read by all that reads one: queries, pictures, maps, pages, checks and descriptions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import shapecnn
from shapecnn.api.indexes import answers_page
from shapecnn.errors import UsageError
from shapecnn.information.description import describe
from shapecnn.search import projection
from shapecnn.search.projection import lay_out, map_file
from shapecnn.search.small_rows import PackedFeatures
from shapecnn.verify import verify
from shapecnn.web.desk import Desk
from shapecnn.web.limits import Limits
from shapecnn.workers.pool import Workers


def _refuse(*_: Any, **__: Any) -> None:
    raise AssertionError("all features were decoded")


@pytest.mark.parametrize(
    "form",
    [
        {"rows": "small"},
        {"rows": "small", "pictures": False},
        {"rows": "small", "kind": "ivf", "settings": {"adapt": False}},
        {"rows": "small", "kind": "ivf"},
        {"kind": "ivf", "settings": {"adapt": False}},
        {"kind": "ivf"},
        {"kind": "ivf", "model": "@sph"},
    ],
    ids=lambda form: " ".join(f"{value}" for value in form.values()),
)
def test_every_form_of_an_index_is_read_by_all_that_reads_one(
    solids: Path, tmp_path: Path, form: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, said = tmp_path / "index", []
    shapecnn.update_index(solids, folder, **form, device="cpu", workers=1, say=said.append)
    assert len(said) == ("kind" in form)  # the recall
    searcher = shapecnn.open_index(folder, device="cpu", workers=1)
    mesh = solids / "box" / "cube.off"
    answers = searcher.query(mesh, 3)
    assert (answers[0].hits[0].shape.id, answers[0].hits[0].score) == ("box/cube.off", 1)
    assert "box/cube.off" in answers_page(answers, workers=1)
    Image.fromarray(shapecnn.draw_views(mesh).pictures[3]).save(tmp_path / "view.png")
    if form.get("pictures", True) and "model" not in form:
        assert searcher.query_pictures(tmp_path / "view.png", 3)[0].hits[0].shape.label == "box"
    else:
        with pytest.raises(UsageError, match=r"no features of single views|not by single pictures"):
            searcher.query_pictures(tmp_path / "view.png")
    layout = lay_out(searcher, tmp_path / "maps")
    assert layout.positions.shape == (9, 2)
    assert np.isfinite(layout.similarities).all()
    if {"rows", "kind"} <= form.keys():  # beyond memory: nothing but the map decodes all features
        monkeypatch.setattr(PackedFeatures, "__array__", _refuse)
        Desk(searcher, None, "index", Limits(1 << 20, Workers(1))).warm()
    assert map_file(searcher, tmp_path / "maps").is_file()
    desk = Desk(searcher, None, "index", Limits(1 << 20, Workers(1)))
    found = desk.results(desk.query("shape-0"), 5, "round")["results"]
    assert [each["label"] for each in found] == ["round"] * len(found)
    assert desk.about()["shapes"] == 9
    assert desk.takes_pictures == (form.get("pictures", True) and "model" not in form)
    assert not verify(folder, solids).findings
    assert describe(folder).facts["shapes"] == 9


def test_a_map_of_too_many_shapes_is_refused(
    solids_index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Instead of hours of work: its time grows with the square of their number."""
    monkeypatch.setattr(projection, "LARGEST", 8)
    with pytest.raises(UsageError, match=r"A map has at most 8 shapes, but the index has 9: .*--shard"):
        lay_out(shapecnn.open_index(solids_index, device="cpu", workers=1), tmp_path)
