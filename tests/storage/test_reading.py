"""Reading of stored files, their hashes, and JSON."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from shapecnn.errors import StoredDataError
from shapecnn.storage import reading
from shapecnn.storage.reading import (
    json_bytes,
    map_stored,
    open_stored,
    read_json,
    read_stored,
    release,
    sha256,
    sha256_of,
    sha256_of_map,
)


def test_sha256_is_the_known_one() -> None:
    assert sha256(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_mapped_file_is_hashed_as_its_bytes_are_and_takes_no_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_CHUNK", 1 << 20)
    data = os.urandom((32 << 20) + 5)
    (tmp_path / "file").write_bytes(data)
    content = map_stored(tmp_path / "file")
    before = mapped()
    assert sha256_of_map(content) == sha256(data)
    assert mapped() - before < 16 << 20
    assert content[:] == data
    assert mapped() - before > 16 << 20
    release(content)
    assert mapped() - before < 16 << 20
    assert content[-5:] == data[-5:]


def mapped() -> int:
    """Bytes of files that this process holds in memory."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssFile:"))
    return int(line.split()[1]) * 1024


def test_json_is_readable_and_the_same_for_the_same_value(tmp_path: Path) -> None:
    value = {"name": "Stühle – ×", "list": [1, None, 0.1]}
    data = json_bytes(value)
    assert (
        data
        == b'{\n  "name": "St\xc3\xbchle \xe2\x80\x93 \xc3\x97",\n  "list": [\n    1,\n    null,\n    0.1\n  ]\n}\n'
    )
    (tmp_path / "x.json").write_bytes(data)
    assert read_json(tmp_path / "x.json") == value


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_json_is_not_written(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_bytes({"mAP": value})


@pytest.mark.parametrize("content", [None, b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_a_damaged_json_is_a_stored_data_error(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "model.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(
        StoredDataError, match=r"model\.json cannot be read \(.+\)\. Restore the file from a copy, or make it again\.$"
    ):
        read_json(path)


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: os.symlink(__file__, path), os.mkdir])
def test_only_regular_files_are_read(make: Any, tmp_path: Path) -> None:
    make(tmp_path / "a")
    for read in (read_stored, map_stored, sha256_of):
        with pytest.raises(OSError, match=r"the path is (not a regular file|a link)"):
            read(tmp_path / "a")


def test_what_is_not_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe"):
        with pytest.raises(OSError, match=f"the path is .*/{name}'"):
            open_stored(tmp_path / name)
