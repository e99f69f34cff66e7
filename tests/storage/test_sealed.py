"""Files read against the hashes published with them: whole or not at all, and every complaint is one sentence."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapecnn.errors import StoredDataError, UsageError
from shapecnn.storage.checksums import SUMS, parse_sums
from shapecnn.storage.publishing import publish
from shapecnn.storage.reading import sha256
from shapecnn.storage.sealed import LARGEST_JSON, Sealed, open_sealed, printable, publish_beside

REMEDY = "Make it again."
CONTENT = b'{"schema_version": 1, "name": "cup"}'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    publish(tmp_path / "made", {"a.json": CONTENT, "b": bytes(range(256))})
    return tmp_path / "made"


def holding(folder: Path, content: bytes) -> Sealed:
    """A folder whose ``a.json`` is this, its hash right."""
    publish(folder, {"a.json": content})
    return open_sealed(folder, REMEDY)


def refused(use: Callable[[], Any]) -> str:
    with pytest.raises(StoredDataError) as caught:
        use()
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(REMEDY)
    return message.removesuffix(f" {REMEDY}")


def test_what_was_published_is_read(folder: Path) -> None:
    sealed = open_sealed(folder, REMEDY)
    assert {*sealed.sums} == {"a.json", "b"}
    assert sealed.read("b") == bytes(range(256))
    assert sealed.map("b")[:] == bytes(range(256))
    assert sealed.check("b") is None  # type: ignore[func-returns-value]


def test_between_commit_and_move_the_committed_are_read(folder: Path) -> None:
    """And their hashes: never those of one publication against the files of another."""
    old = {path.name: path.read_bytes() for path in folder.iterdir()}
    publish(folder, {"a.json": b"{}", "b": b"new"})
    (folder / ".publish").mkdir()
    for name, content in old.items():
        (folder / name).rename(folder / ".publish" / name)
        (folder / ".publish" / name).write_bytes(content)
        (folder / name).write_bytes(b"of another")
    sealed = open_sealed(folder, REMEDY)
    assert sealed.read("a.json") == sealed.map("a.json")[:] == CONTENT
    assert sealed.check("b") is None  # type: ignore[func-returns-value]


def test_what_is_mapped_stays_when_another_is_published(folder: Path) -> None:
    content = open_sealed(folder, REMEDY).map("b")
    publish(folder, {"b": b""})
    assert content[:] == bytes(range(256))
    assert open_sealed(folder, REMEDY).map("b")[:] == b""


@given(place=st.integers(0, 255), bit=st.integers(0, 7))
def test_any_one_flipped_bit_is_refused(place: int, bit: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("made")
    publish(folder, {"b": bytes(range(256))})
    content = bytearray(range(256))
    content[place] ^= 1 << bit
    (folder / "b").write_bytes(content)
    sealed = open_sealed(folder, REMEDY)
    for use in (sealed.read, sealed.map, sealed.check):
        message = f"{folder / 'b'} has changed since it was written (its hash differs)."
        assert refused(lambda use=use: use("b")) == message


@pytest.mark.parametrize("method", ["read", "map", "check", "json"])
def test_a_file_without_a_hash_is_not_read(folder: Path, method: str) -> None:
    (folder / "c").write_bytes(b"{}")
    use = getattr(open_sealed(folder, REMEDY), method)
    assert refused(lambda: use("c")) == f"{folder / SUMS} has no hash of c."
    assert refused(lambda: use("x\ny")) == f"{folder / SUMS} has no hash of 'x\\ny'."


@pytest.mark.parametrize("method", ["read", "map", "check", "json"])
def test_what_cannot_be_read_is_told_with_the_reason(folder: Path, method: str) -> None:
    use = getattr(open_sealed(folder, REMEDY), method)
    (folder / "a.json").unlink()
    assert refused(lambda: use("a.json")) == f"{folder / 'a.json'} cannot be read (No such file or directory)."
    (folder / "a.json").mkdir()
    assert refused(lambda: use("a.json")) == f"{folder / 'a.json'} cannot be read (the path is not a regular file)."


def test_a_file_that_the_system_cannot_open_just_now_is_not_called_damaged(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The remedy for a damaged file is to make it again, which would discard finished work."""
    sealed = open_sealed(folder, REMEDY)

    def fail(*_: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), "somewhere")

    monkeypatch.setattr("shapecnn.storage.reading.os.open", fail)
    uses: list[Callable[[], Any]] = [
        lambda: sealed.read("b"),
        lambda: sealed.map("b"),
        lambda: sealed.check("b"),
        lambda: open_sealed(folder, REMEDY),
    ]
    for use in uses:
        with pytest.raises(OSError, match="Too many open files"):
            use()


def test_only_what_is_read_whole_has_a_largest_size(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shapecnn.storage.reading.LARGEST", 255)
    sealed = open_sealed(folder, REMEDY)
    sealed.check("b")
    assert len(sealed.map("b")) == 256
    assert "cannot be read (the file is larger than the limit of" in refused(lambda: sealed.read("b"))
    monkeypatch.setattr("shapecnn.storage.reading.LARGEST", 256)
    assert len(sealed.read("b")) == 256


# --- JSON ---


def test_an_object_is_read_and_its_version_compared(folder: Path) -> None:
    sealed = open_sealed(folder, REMEDY)
    assert sealed.json("a.json") == json.loads(CONTENT)
    assert sealed.json("a.json", 1) == {"name": "cup"}
    # The file is undamaged, so a copy of it would not help.
    way = "Use that version to read the file, or make the file again with this version."
    for other in (lambda: sealed.json("a.json", 2), lambda: holding(folder, b"{}").json("a.json", 1)):
        with pytest.raises(StoredDataError) as caught:
            other()
        assert str(caught.value) == f"{folder / 'a.json'} was made by another version of shapecnn. {way}"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"[]", "the file is not a JSON object"),
        (b'"schema_version"', "the file is not a JSON object"),
        (b"null", "the file is not a JSON object"),
        (b"", "Expecting value"),
        (b"{} {}", "Extra data"),
        (b"\xff", "codec can't decode"),
        (b'{"a": NaN}', "NaN is not a finite number"),
        (b'{"a": -Infinity}', "-Infinity is not a finite number"),
        (b'{"a": 1e999}', "1e999 is not a finite number"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"a": ' + b"9" * 5000 + b"}", "a number has 5,000 digits"),
    ],
)
def test_what_is_no_object_of_numbers_and_texts_is_refused(folder: Path, content: bytes, reason: str) -> None:
    message = refused(lambda: holding(folder, content).json("a.json"))
    assert message.startswith(f"{folder / 'a.json'} has invalid content (")
    assert reason in message


# --- what is told ---


@pytest.mark.parametrize("error", [ValueError, UsageError])
def test_what_does_not_hold_is_told_of_the_file(folder: Path, error: type[Exception]) -> None:
    sealed = open_sealed(folder, REMEDY)

    def use() -> None:
        with sealed.validating("b"):
            raise error("it is upside down.\nIn line 3:")

    assert refused(use) == f"{folder / 'b'} has invalid content (it is upside down)."


@pytest.mark.parametrize("error", [StoredDataError("of another file"), KeyError("a bug")])
def test_other_errors_are_left_as_they_are(folder: Path, error: Exception) -> None:
    with pytest.raises(type(error)) as caught, open_sealed(folder, REMEDY).validating("b"):
        raise error
    assert caught.value is error


def test_a_reason_is_never_empty_moves_no_cursor_and_is_never_the_whole_file(folder: Path) -> None:
    sealed = open_sealed(folder, REMEDY)
    start = f"{folder / 'b'} has invalid content"
    assert str(sealed.invalid("b", "")) == f"{start} (it is damaged). {REMEDY}"
    assert str(sealed.invalid("b", "\x1b[2J")) == rf"{start} (\x1b[2J). {REMEDY}"
    assert str(sealed.invalid("b", "x" * 200)) == f"{start} ({'x' * 200}). {REMEDY}"
    assert str(sealed.invalid("b", "x" * 201)) == f"{start} ({'x' * 199}…). {REMEDY}"


def test_a_path_is_told_on_one_line() -> None:
    assert printable(Path("a b/é")) == "a b/é"
    assert printable("a\n\x1b[2J") == r"'a\n\x1b[2J'"


# --- hashes that are missing or damaged ---


def test_without_its_hashes_a_folder_is_not_opened(folder: Path) -> None:
    (folder / SUMS).unlink()
    assert (
        refused(lambda: open_sealed(folder, REMEDY))
        == f"{folder} has no file {SUMS}: it was lost, or an earlier version of shapecnn made the folder."
    )
    (folder / SUMS).mkdir()
    assert (
        refused(lambda: open_sealed(folder, REMEDY))
        == f"{folder / SUMS} cannot be read (the path is not a regular file)."
    )
    (folder / SUMS).rmdir()
    (folder / SUMS).write_bytes(b"")
    assert (
        refused(lambda: open_sealed(folder, REMEDY))
        == f"{folder / SUMS} is damaged (the hash in the first line does not match the other lines)."
    )


# --- publishing beside ---


def test_what_is_published_beside_leaves_the_other_hashes(folder: Path) -> None:
    publish_beside(folder, {"c": b"new", "b": b"other"}, REMEDY, made={"d/e": sha256(b"made")})
    sums = parse_sums((folder / SUMS).read_bytes())
    assert sums == {
        "a.json": sha256(CONTENT), "b": sha256(b"other"), "c": sha256(b"new"), "d/e": sha256(b"made")
    }  # fmt: skip
    assert (folder / "a.json").read_bytes() == CONTENT


def test_the_first_are_published_in_a_folder_of_their_own(tmp_path: Path) -> None:
    publish_beside(tmp_path / "new", {"c": b"new"}, REMEDY)
    assert open_sealed(tmp_path / "new", REMEDY).read("c") == b"new"


def test_hashes_that_are_damaged_are_not_written_over(folder: Path) -> None:
    damaged = (folder / SUMS).read_bytes()[1:]
    (folder / SUMS).write_bytes(damaged)
    assert "is damaged" in refused(lambda: publish_beside(folder, {"c": b"new"}, REMEDY))
    assert (folder / SUMS).read_bytes() == damaged
    assert not (folder / "c").exists()


def test_a_description_of_many_megabytes_is_not_parsed(folder: Path) -> None:
    huge = b'{"schema_version": 1, "name": "' + b"x" * LARGEST_JSON + b'"}'
    assert "a.json has invalid content (the file is larger than the limit of 17 MB)" in refused(
        lambda: holding(folder, huge).json("a.json", 1)
    )
