"""Folders of unfinished work and their mark."""

from __future__ import annotations

from pathlib import Path

import pytest

from shapecnn.errors import UsageError
from shapecnn.storage.publishing import exclusive
from shapecnn.storage.reading import sha256
from shapecnn.storage.unfinished import MARK, claim, discard, is_claimed, move_recorded, recorded_hashes
from tests.storage.test_publishing import _Crash, _crash_at


@pytest.mark.parametrize("name", [".partial", ".publish", ".publish.tmp"])
def test_a_folder_of_unfinished_work_that_is_not_ours_is_refused_unless_it_shall_go(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "model.json").write_text("dear")
    refused = pytest.raises(UsageError, match=rf"{name} was not written by this version of shapecnn")
    with refused, exclusive(tmp_path):
        pytest.fail("it was written")
    assert (tmp_path / name / "model.json").read_text() == "dear"
    with exclusive(tmp_path, overwrite=True):
        assert not (tmp_path / name).exists()


def test_a_mark_half_written_is_ours(tmp_path: Path) -> None:
    work = tmp_path / ".partial"
    claim(work)
    whole = (work / MARK).read_bytes()
    for size in range(len(whole)):
        (work / MARK).write_bytes(whole[:size])
        assert is_claimed(work)
        claim(work)
        assert (work / MARK).read_bytes() == whole
    (work / MARK).write_bytes(b"another's")
    assert not is_claimed(work)


@pytest.mark.parametrize("folder", ["", "chair", "chair/train"])
def test_a_file_moves_into_a_folder_that_may_be_missing(folder: str, tmp_path: Path) -> None:
    work, source, name = tmp_path / ".partial", tmp_path / ".partial" / "grid", "chair/train/a.binvox"
    claim(work)
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    for content in (b"first", b"second"):  # an existing file is replaced
        source.write_bytes(content)
        move_recorded(source, tmp_path / name, name, sha256(content), work)
        assert (tmp_path / name).read_bytes() == content
        assert recorded_hashes(work)[-1] == (name, sha256(content))
    with pytest.raises(FileNotFoundError, match="grid"):
        move_recorded(source, tmp_path / name, name, sha256(b""), work)
    assert (tmp_path / name).read_bytes() == b"second"


def test_what_is_left_of_work_that_is_thrown_away_stays_ours(tmp_path: Path) -> None:
    for step in range(20):
        work = tmp_path / str(step) / ".partial"
        claim(work)
        for name in ("a", "z"):
            (work / name).write_bytes(b"1")
        with pytest.MonkeyPatch.context() as patch:
            _crash_at(step, patch)
            try:
                discard(work)
            except _Crash:
                pass
            else:
                break
        assert is_claimed(work)
    else:
        pytest.fail("it has more steps than were tried")
    assert not work.exists()
