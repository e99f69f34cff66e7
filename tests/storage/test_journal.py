"""The journal of an unfinished run: nothing noted is lost, nothing half-written is believed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapecnn.storage.journal import Record, open_journal, read_journal, read_record
from shapecnn.storage.reading import sha256
from shapecnn.storage.unfinished import claim

HEADER: Record = {"kind": "views", "size": 224}
RECORDS: list[Record] = [{"id": f"chair/größe \\xff {i}.off", "sha256": "0" * 64} for i in range(4)]


def write(folder: Path, records: list[Record], header: Record = HEADER) -> Path:
    with open_journal(folder, header) as note:
        for record in records:
            note(record)
    return folder / "journal.jsonl"


def test_no_folder_no_journal(tmp_path: Path) -> None:
    assert read_journal(tmp_path / "none") == (None, [])


def test_what_is_noted_is_read_back_in_order(tmp_path: Path) -> None:
    write(tmp_path / "deep" / "folder", RECORDS)
    assert read_journal(tmp_path / "deep" / "folder") == (HEADER, RECORDS)


def test_a_journal_without_records_says_what_the_run_is(tmp_path: Path) -> None:
    write(tmp_path, [])
    assert read_journal(tmp_path) == (HEADER, [])


def test_a_record_is_on_disk_as_soon_as_it_is_noted(tmp_path: Path) -> None:
    with open_journal(tmp_path, HEADER) as note:
        for count, record in enumerate(RECORDS, 1):
            note(record)
            assert read_journal(tmp_path) == (HEADER, RECORDS[:count])


def test_a_later_run_goes_on_behind_an_earlier_one(tmp_path: Path) -> None:
    write(tmp_path, RECORDS[:2])
    write(tmp_path, RECORDS[2:])
    assert read_journal(tmp_path) == (HEADER, RECORDS)


def test_each_record_is_read_back_from_its_place(tmp_path: Path) -> None:
    write(tmp_path, RECORDS[:2])
    with open_journal(tmp_path, HEADER) as note:
        places = [note(record) for record in RECORDS[2:]]
        assert [read_record(tmp_path, place) for place in places] == RECORDS[2:]


def test_one_line_each(tmp_path: Path) -> None:
    text = write(tmp_path, [{"error": "two\nlines\r\u2028 and a lone \udcff"}]).read_text("ascii")
    for line in text.splitlines(keepends=True):
        digest, _, record = line.partition(" ")
        assert digest == sha256(record.encode())
        assert isinstance(json.loads(record), dict)


def test_a_flipped_bit_ends_the_journal_before_it(tmp_path: Path) -> None:
    file = write(tmp_path, RECORDS)
    whole = file.read_bytes()
    ends = [i for i, byte in enumerate(whole) if byte == ord("\n")]
    for place in range(len(whole)):
        altered = bytearray(whole)
        altered[place] ^= 1 << place % 8
        file.write_bytes(altered)
        held = [HEADER, *RECORDS][: sum(end < place for end in ends)]
        assert read_journal(tmp_path) == ((held[0], held[1:]) if held else (None, []))


@given(cut=st.integers(0, 10_000), garbage=st.sampled_from([b"", b"\n\0\0\0\0"]))
def test_a_journal_cut_anywhere_yields_what_was_before_the_cut(
    tmp_path_factory: pytest.TempPathFactory, cut: int, garbage: bytes
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    file = write(folder, RECORDS)
    whole = file.read_bytes()
    ends = [i for i, byte in enumerate(whole) if byte == ord("\n")]
    cut %= len(whole) + 1
    file.write_bytes(whole[:cut] + garbage)
    held = [HEADER, *RECORDS][: sum(end <= cut for end in ends)]
    assert read_journal(folder) == ((held[0], held[1:]) if held else (None, []))

    write(folder, [{"id": "next"}])
    assert read_journal(folder) == (HEADER, [*held[1:], {"id": "next"}])


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("dear")
    claim(tmp_path / "work")
    for name in ("journal.tmp", "journal.jsonl"):
        (tmp_path / "work" / name).symlink_to(tmp_path / "letter")
    with pytest.raises(OSError, match="the path is a link"):
        write(tmp_path / "work", RECORDS)
    (tmp_path / "work" / "journal.jsonl").unlink()
    write(tmp_path / "work", RECORDS)
    assert read_journal(tmp_path / "work") == (HEADER, RECORDS)
    assert (tmp_path / "letter").read_text() == "dear"
