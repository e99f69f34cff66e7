"""Rows of an index that wait on disk: read back as they were noted, and never all in memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from shapecnn.models.space import Placed
from shapecnn.search.rows import FeatureRow, RowJournal, StoredRow, journal_rows, write_rows
from shapecnn.storage.journal import open_journal

ENGINE = {"engine": "none"}


def row(number: int, views: bool) -> FeatureRow:
    random = np.random.default_rng(number)
    alone = random.normal(size=(12, 256)).astype(np.float16) if views else None
    return FeatureRow(random.normal(size=256).astype(np.float32), alone)


def journalled(scratch: Path, numbers: range, views: bool = True) -> list[StoredRow]:
    with open_journal(scratch, {"model": "a run"}) as note:
        journal = RowJournal(note, scratch)
        return [journal.add(f"{n}.off", f"{n:064}", row(n, views), ENGINE) for n in numbers]


@pytest.mark.parametrize("views", [True, False])
def test_a_row_is_read_as_it_was_noted_now_and_by_a_later_run(tmp_path: Path, views: bool) -> None:
    rows = journalled(tmp_path, range(5), views)
    again, engine = journal_rows(tmp_path, views)
    assert engine == ENGINE
    assert list(again) == [f"{n}.off" for n in range(5)]
    for number, kept in enumerate(rows):
        expected = row(number, views)
        for one in (kept, again[f"{number}.off"]):
            found = one.read()
            assert one.sha256 == f"{number:064}"
            assert np.array_equal(found.feature, expected.feature)
            assert (found.views is None) == (not views)
            assert not views or np.array_equal(found.views, expected.views)


def test_rows_without_views_are_passed_over_where_views_are_asked_for(tmp_path: Path) -> None:
    journalled(tmp_path, range(2), views=False)
    journalled(tmp_path, range(2, 4))
    assert list(journal_rows(tmp_path, views=True)[0]) == ["2.off", "3.off"]
    assert len(journal_rows(tmp_path, views=False)[0]) == 4


def test_the_file_holds_the_rows_in_the_order_asked_for(tmp_path: Path) -> None:
    rows = journalled(tmp_path, range(6))[::-2]
    digest, size, views = write_rows(tmp_path / "file", rows)
    assert (len(digest), size, views) == (64, 256, 12)
    found = load_file(tmp_path / "file")
    assert np.array_equal(found["features"], [row(n, True).feature for n in (5, 3, 1)])
    assert np.array_equal(found["views"], [row(n, True).views for n in (5, 3, 1)])
    assert "gallery" not in found
    gallery, distinct = np.eye(3, 256, dtype=np.float32), np.array([True, False, True])
    write_rows(tmp_path / "file", rows, Placed(gallery, distinct))
    both = load_file(tmp_path / "file")
    assert np.array_equal(both.pop("gallery"), gallery)
    assert np.array_equal(both.pop("distinct"), distinct)
    assert {*both} == {*found}


MEMORY = """
import sys, tracemalloc
from pathlib import Path
from shapecnn.search.rows import journal_rows, write_rows
from tests.search.test_rows import journalled
scratch = Path(sys.argv[1])
journalled(scratch, range(1))
write_rows(scratch / "file", [*journal_rows(scratch, views=True)[0].values()])  # what is imported on the way
tracemalloc.start()
journalled(scratch, range(1, 400))
write_rows(scratch / "file", [*journal_rows(scratch, views=True)[0].values()])
print(tracemalloc.get_traced_memory()[1])
"""


def test_memory_does_not_hold_the_rows(tmp_path: Path) -> None:
    """400 rows of 7 kB: noting, scanning and writing them take at no moment more than a fifth of that."""
    done = subprocess.run([sys.executable, "-c", MEMORY, tmp_path], capture_output=True, text=True, check=True)
    assert (tmp_path / "file").stat().st_size > 400 * 7000
    assert int(done.stdout) < 400 * 1400
