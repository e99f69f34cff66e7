"""Files that are written whole."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

import pytest

from shapecnn.storage.atomic import create, write_atomic
from shapecnn.storage.reading import sha256


def test_write_atomic_leaves_the_old_content_when_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "deep" / "file"
    write_atomic(target, b"old")

    def full(self: Path, mode: str) -> BinaryIO:
        with open(self, mode) as file:
            file.write(b"n")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", full)
        with pytest.raises(OSError, match="No space"):
            write_atomic(target, b"new")
    assert {p.name: p.read_bytes() for p in target.parent.iterdir()} == {"file": b"old"}


def test_write_atomic_keeps_its_temporary_file_in_scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "scratch").mkdir()
    moved: list[Path] = []
    real = Path.replace

    def watched(self: Path, target: Path) -> Path:
        moved.append(self)
        return real(self, target)

    monkeypatch.setattr(Path, "replace", watched)
    for name in ("a", "b"):
        write_atomic(tmp_path / "out" / name, b"x", tmp_path / "scratch")
    assert [path.parent for path in moved] == [tmp_path / "scratch"] * 2
    assert moved[0].name != moved[1].name
    assert not list((tmp_path / "scratch").iterdir())


def test_write_atomic_never_writes_through_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, precious = tmp_path / "out" / "file", tmp_path / "precious"
    precious.write_bytes(b"dear")
    target.parent.mkdir()
    link = target.parent / f".{os.getpid()}-{sha256(os.fsencode(target))[:16]}.tmp"
    link.symlink_to(precious)
    write_atomic(target, b"new")
    assert (target.read_bytes(), precious.read_bytes(), link.exists()) == (b"new", b"dear", False)
    link.symlink_to(precious)
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)  # somebody puts it there again at once
    with pytest.raises(FileExistsError):
        write_atomic(target, b"newer")
    assert precious.read_bytes() == b"dear"


def test_nothing_is_made_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("dear")
    (tmp_path / "a").symlink_to(tmp_path / "letter")
    with create(tmp_path / "a") as file:
        file.write(b"new")
    assert ((tmp_path / "a").read_text(), (tmp_path / "letter").read_text()) == ("new", "dear")
