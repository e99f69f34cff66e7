"""Kept queries: the newest stay, as far as there is room."""

from __future__ import annotations

import numpy as np
import pytest

from shapecnn.web import queries
from shapecnn.web.files import UploadedMesh
from shapecnn.web.queries import Queries, Query, new_name


def query(name: str, size: int = 0) -> Query:
    return Query(name, "mesh", "a.off", "z", np.zeros(3, np.float32), UploadedMesh("a.off", bytes(size)))


def test_old_queries_make_room_for_new_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "ROOM", 100_000)
    kept = Queries()
    for name in "abc":
        kept.add(query(name, 30_000))
    assert [name for name in "abc" if kept.get(name)] == ["b", "c"]
    kept.get("b")
    kept.add(query("d", 30_000))
    assert [name for name in "abcd" if kept.get(name)] == ["b", "d"]  # what was used last stays
    kept.add(query("e", 1_000_000))
    assert kept.get("e") is not None  # one is always kept
    assert kept.remove("e")
    assert not kept.remove("e")


def test_a_query_that_was_forgotten_while_it_grew_stays_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "ROOM", 100_000)
    kept, grown = Queries(), query("b")
    kept.add(query("a"))
    kept.add(grown)
    grown.kept["model"] = bytes(100_000)
    kept.resized(grown)
    assert [name for name in "ab" if kept.get(name)] == ["b"]
    kept.remove("b")
    kept.resized(grown)
    assert kept.get("b") is None


def test_a_query_may_grow_while_it_is_measured() -> None:
    """Another thread keeps a result meanwhile."""

    class Growing:
        @property
        def nbytes(self) -> int:
            measured.kept["views"] = b""
            return 100_000

    measured = query("a")
    measured.kept["model"] = Growing()
    assert measured.size > 100_000


def test_names_cannot_be_guessed() -> None:
    assert len({new_name() for _ in range(100)}) == 100
    assert len(new_name()) >= 16
