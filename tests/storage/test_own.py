"""What is the user's is neither overwritten nor removed: only what shapecnn wrote, and what still is that."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from shapecnn.errors import UsageError
from shapecnn.storage.kinds import KIND_FILES
from shapecnn.storage.own import COMPANIONS, publish_report, remove_all_own, remove_own, require_own, require_unchanged
from shapecnn.storage.publishing import exclusive, publish, written_hashes
from shapecnn.storage.reading import sha256
from shapecnn.storage.unfinished import claim, write_recorded
from tests.solids import contents

KIND = "evaluation.json"
REPORT = {KIND: b"{}", "report.html": b"<html>", "pr.svg": b"<svg>"}


def test_every_kind_of_folder_says_what_is_written_there() -> None:
    assert COMPANIONS.keys() == KIND_FILES.keys()


@pytest.mark.parametrize("name", ["report.html", "notes.txt", "SHA256SUMS", ".partial", ".publish", ".hidden"])
def test_a_folder_that_holds_something_else_is_refused_by_name_and_stays_as_it_was(name: str, tmp_path: Path) -> None:
    place = tmp_path / name
    if name.startswith((".partial", ".publish")):
        place.mkdir()
        place = place / "letter"
    place.write_text("dear")
    with pytest.raises(UsageError, match=rf"{name}.*--overwrite"):
        publish_report(KIND, tmp_path, REPORT)
    assert place.read_text() == "dear"
    publish_report(KIND, tmp_path, REPORT, overwrite=True)
    assert (tmp_path / "report.html").read_bytes() == b"<html>"
    assert not (tmp_path / ".partial").exists()
    if name in ("notes.txt", ".hidden"):
        assert place.read_text() == "dear"


def test_files_in_folders_that_exist_are_checked_beside_those_in_missing_ones(tmp_path: Path) -> None:
    (tmp_path / "table").mkdir()
    (tmp_path / "table" / "b.png").write_text("mine")
    names = ["chair/train/a.png", "table/a.png", "c.png"]
    assert require_unchanged(tmp_path, names) == {}
    with pytest.raises(UsageError, match=r"holds table/b\.png, not written by shapecnn"):
        require_unchanged(tmp_path, [*names, "table/b.png"])
    (tmp_path / "c.png").write_text("mine")
    with pytest.raises(UsageError, match=r"holds c\.png, not written by shapecnn"):
        require_unchanged(tmp_path, names)
    (tmp_path / "c.png").unlink()
    (tmp_path / "chair").write_text("mine")
    with pytest.raises(UsageError, match="chair is a file, but the output needs a folder of this name"):
        require_unchanged(tmp_path, names)


@pytest.mark.parametrize("left", [(), (".lock",), (".DS_Store",)])
def test_an_empty_folder_is_free(left: tuple[str, ...], tmp_path: Path) -> None:
    for name in left:
        (tmp_path / name).touch()
    publish_report(KIND, tmp_path, REPORT)
    publish_report(KIND, tmp_path, REPORT)  # its own


def test_what_a_person_changed_or_added_in_our_own_folder_is_theirs(tmp_path: Path) -> None:
    publish_report(KIND, tmp_path, REPORT)
    (tmp_path / "report.html").write_text("my notes on it")
    with pytest.raises(
        UsageError, match=r"holds report\.html, not written by shapecnn, or changed after shapecnn wrote it"
    ):
        publish_report(KIND, tmp_path, REPORT)
    (tmp_path / "report.html").unlink()
    (tmp_path / "confusion.svg").write_text("drawn by hand")
    with pytest.raises(UsageError, match=r"holds confusion\.svg"):
        publish_report(KIND, tmp_path, {**REPORT, "confusion.svg": b"<svg>"})
    assert (tmp_path / "confusion.svg").read_text() == "drawn by hand"


def test_a_report_takes_the_place_of_one_with_more_files(tmp_path: Path) -> None:
    publish_report(KIND, tmp_path, {**REPORT, "confusion.svg": b"1", "reliability.svg": b"2"})
    (tmp_path / "reliability.svg").write_text("drawn by hand")
    publish_report(KIND, tmp_path, REPORT)
    assert not (tmp_path / "confusion.svg").exists()
    assert (tmp_path / "reliability.svg").read_text() == "drawn by hand"
    assert not (tmp_path / ".partial").exists()


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: os.symlink("/dev/zero", path), os.mkdir])
def test_what_is_not_a_file_in_the_place_of_one_is_refused_at_once(make: object, tmp_path: Path) -> None:
    publish_report(KIND, tmp_path, REPORT)
    (tmp_path / "pr.svg").unlink()
    make(tmp_path / "pr.svg")  # type: ignore[operator]
    with pytest.raises(UsageError, match=r"holds pr\.svg"):
        publish_report(KIND, tmp_path, REPORT)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_that_is_a_link_is_not_written_through(overwrite: bool, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "chair").symlink_to(tmp_path / "home")
    with pytest.raises(UsageError, match=r"out/chair is a link, and shapecnn does not write through links"):
        require_unchanged(tmp_path / "out", ["chair/deep/a.png"], overwrite)


def test_what_was_put_beside_unfinished_work_is_known_after_a_kill(tmp_path: Path) -> None:
    with exclusive(tmp_path):
        claim(tmp_path / ".partial")
        write_recorded(tmp_path / "a\n.png", "a\n.png", b"1", tmp_path / ".partial")
        (tmp_path / "b.png").write_bytes(b"2")
    known = written_hashes(tmp_path)
    assert known == {"a\n.png": {sha256(b"1")}}
    require_own("settings.json", tmp_path)
    require_unchanged(tmp_path, ["a\n.png"])
    with pytest.raises(UsageError, match=r"holds b\.png"):
        require_unchanged(tmp_path, ["a\n.png", "b.png"])
    (tmp_path / "a\n.png").write_bytes(b"3")
    remove_own(tmp_path, known, known)
    assert (tmp_path / "a\n.png").read_bytes() == b"3"


def test_beginning_anew_removes_what_is_ours_and_nothing_else(tmp_path: Path) -> None:
    publish(tmp_path, {"a": b"1", "b": b"2"})
    claim(tmp_path / ".partial")
    (tmp_path / "b").write_bytes(b"3")
    (tmp_path / "c").write_bytes(b"4")
    remove_all_own(tmp_path)
    assert contents(tmp_path) == {"b": b"3", "c": b"4"}
