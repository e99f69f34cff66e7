"""How the files of shapes are called: no two share one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapecnn.artefacts.manifest import artefact_stems
from shapecnn.errors import CollectionError


@pytest.mark.parametrize(
    ("ids", "stems"),
    [
        ([], []),
        (["c/a.off", "c/b.off"], ["c/a", "c/b"]),
        (["a.obj", "a.off", "b.off"], ["a.obj", "a.off", "b"]),
        (["c/a.off", "d/a.ply"], ["c/a", "d/a"]),
        (["a.OFF", "a.off"], ["a.OFF", "a.off"]),
        (["a.b.off", "a.c.off"], ["a.b", "a.c"]),
        (["a.b.off", "a.off"], ["a.b", "a"]),
        (["c.d/a.off", "c.d/model"], ["c.d/a", "c.d/model"]),
        (["a.off", "a.off.obj"], ["a", "a.off"]),
    ],
)
def test_artefact_stems(ids: list[str], stems: list[str]) -> None:
    assert artefact_stems(ids) == stems


def test_artefacts_that_would_share_one_file_are_refused() -> None:
    with pytest.raises(CollectionError) as caught:
        artefact_stems(["a.off", "a.off.obj", "a.ply"])
    assert str(caught.value) == "a.off and a.off.obj would both be written to the file a.off: rename one of them."


@given(st.lists(st.from_regex(r"[ab](/[ab])?(\.(off|obj|b)){0,3}", fullmatch=True), unique=True))
def test_no_two_artefacts_share_a_stem(ids: list[str]) -> None:
    try:
        stems = artefact_stems(ids)
    except CollectionError:
        return
    assert len(set(stems)) == len(stems) == len(ids)
    assert all(shape_id.startswith(stem) for shape_id, stem in zip(ids, stems, strict=True))
