"""Zips that are intact, damaged, hostile or have false headers."""

from __future__ import annotations

import io
import re
import stat
import struct
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapecnn.errors import ArchiveError
from shapecnn.meshes import zips
from shapecnn.sources import archive as module
from shapecnn.sources.archive import unpack

NOISE = bytes(range(256)) * 8
CENTRAL = b"PK\x01\x02"  # begins an entry of the central directory: sizes from byte 20 on, flags at byte 8


def pack(path: Path, files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def patch(path: Path, at: int, data: bytes) -> None:
    content = bytearray(path.read_bytes())
    content[at : at + len(data)] = data
    path.write_bytes(content)


NAMES = st.text("abcXYZ019._- é中", min_size=1, max_size=12).filter(
    lambda name: set(name) - {"."} and name != ".DS_Store"
)


@given(
    st.dictionaries(NAMES, st.binary(max_size=3000), max_size=5),
    st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]),
)
def test_what_was_packed_comes_out(files: dict[str, bytes], method: int) -> None:
    with TemporaryDirectory() as folder:
        files = {f"dir {i}/{name}": data for i, (name, data) in enumerate(files.items())}
        path = pack(Path(folder) / "a.zip", files, method)
        unpack(path, Path(folder) / "out")
        assert tree(Path(folder) / "out") == files


def test_progress_ends_at_the_total(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", {"a.off": NOISE * 600, "b/c.off": NOISE}, zipfile.ZIP_STORED)
    seen: list[tuple[int, int | None]] = []
    unpack(path, tmp_path / "out", lambda *step: seen.append(step))
    total = len(NOISE) * 601
    assert len(seen) == 3  # the first file takes two chunks
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert {all_of_it for _, all_of_it in seen} == {total}
    assert seen[-1][0] == total


def test_what_macos_adds_is_left_out(tmp_path: Path) -> None:
    sound = {"M/chair/train/a.off": b"OFF", "M/README.txt": b"read me"}
    junk = {"__MACOSX/M/._README.txt": b"", "M/.DS_Store": b"", "M/chair/__MACOSX/x": b""}
    unpack(pack(tmp_path / "a.zip", sound | junk), tmp_path / "out")
    assert tree(tmp_path / "out") == sound


def test_backslashes_separate_folders(tmp_path: Path) -> None:
    unpack(pack(tmp_path / "a.zip", {"M\\chair\\a.off": b"OFF"}), tmp_path / "out")
    assert tree(tmp_path / "out") == {"M/chair/a.off": b"OFF"}


@pytest.mark.parametrize("name", ["../evil.off", "M/../../evil.off", "/evil.off", "..\\evil.off", "C:/evil.off"])
def test_no_path_leads_out(tmp_path: Path, name: str) -> None:
    path = pack(tmp_path / "a.zip", {"M/a.off": b"OFF", name: b"evil"})
    with pytest.raises(ArchiveError, match="leads out"):
        unpack(path, tmp_path / "in" / "out")
    assert tree(tmp_path / "in") == {}
    assert not list(tmp_path.rglob("evil*"))


def test_links_are_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("M/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc")
        archive.writestr("M/link/passwd", "evil")
    with pytest.raises(ArchiveError, match="link 'M/link'"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


@pytest.mark.parametrize(
    "names", [("a.off", "a.off"), ("a", "a/b.off"), ("a", "a/b/c.off"), ("a/b.off", "a"), ("a.off", "./a.off")]
)
@pytest.mark.filterwarnings("ignore:Duplicate name")  # zipfile, when the test makes the first of them
def test_one_path_twice_is_refused(tmp_path: Path, names: tuple[str, str]) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in names:
            archive.writestr(name, "OFF")
    with pytest.raises(ArchiveError, match="conflicts with the path of an earlier file"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


def test_nothing_is_unpacked_into_a_folder_that_is_there(tmp_path: Path) -> None:
    """It might hold links."""
    (tmp_path / "out").mkdir()
    with pytest.raises(FileExistsError):
        unpack(pack(tmp_path / "a.zip", {"a.off": b"OFF"}), tmp_path / "out")
    assert tree(tmp_path / "out") == {}


# --- bombs and liars ---


def test_a_bomb_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", {"zeros.off": bytes(10_000_000)})
    with pytest.raises(ArchiveError, match=r"unpack to 10\.0 MB"):
        unpack(path, tmp_path / "out")
    assert tree(tmp_path / "out") == {}


def test_two_hundred_to_one_is_the_limit(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", {"zeros.off": bytes(100_000)})
    ratio = 100_000 / path.stat().st_size
    assert ratio > 200
    with path.open("ab") as file:  # bytes behind a zip do not matter to it, but its size does
        file.write(bytes(500 - path.stat().st_size))
    unpack(path, tmp_path / "out")
    assert len(tree(tmp_path / "out")["zeros.off"]) == 100_000


def test_the_sum_over_all_files_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pack(tmp_path / "a.zip", {"a": NOISE, "b": NOISE}, zipfile.ZIP_STORED)
    monkeypatch.setattr(zips, "MAX_UNPACKED", 2 * len(NOISE))
    unpack(path, tmp_path / "fits")
    monkeypatch.setattr(zips, "MAX_UNPACKED", 2 * len(NOISE) - 1)
    with pytest.raises(ArchiveError, match="limit"):
        unpack(path, tmp_path / "out")
    assert tree(tmp_path / "out") == {}


@pytest.mark.parametrize("announced", [10, len(NOISE) - 1, len(NOISE) + 1])
def test_a_header_that_lies_about_the_size_gains_nothing(tmp_path: Path, announced: int) -> None:
    path = pack(tmp_path / "a.zip", {"M/a.off": NOISE})
    patch(path, path.read_bytes().index(CENTRAL) + 24, struct.pack("<L", announced))
    with pytest.raises(ArchiveError, match=r"damaged at 'M/a\.off'"):
        unpack(path, tmp_path / "out")
    assert (tmp_path / "out/M/a.off").stat().st_size <= announced


def test_a_decoder_that_gives_more_than_announced_is_stopped() -> None:
    """Python's zipfile stops by itself today, so the guard is shown a stream that does not."""

    class Endless(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            return bytes(size)

    archive: Any = SimpleNamespace(filename="a.zip", open=lambda _member: Endless())
    member = zipfile.ZipInfo("a.off")
    member.file_size = 5 << 20
    got: list[int] = []
    with pytest.raises(ArchiveError, match="size that its header announces"):
        got.extend(map(len, module._content(archive, member)))
    assert sum(got) == member.file_size


# --- damage ---


def test_a_flipped_bit_is_found_and_its_file_named(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", {"M/a.off": NOISE, "M/b.off": NOISE[::-1]}, zipfile.ZIP_STORED)
    at = path.read_bytes().index(NOISE[::-1]) + 1000
    patch(path, at, bytes([path.read_bytes()[at] ^ 1]))
    with pytest.raises(ArchiveError, match=r"damaged at 'M/b\.off' \(Bad CRC.*\)\. Run again with an undamaged copy"):
        unpack(path, tmp_path / "out")


def test_an_encrypted_file_is_refused(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", {"M/a.off": NOISE})
    data = path.read_bytes()
    patch(path, 6, b"\x01")  # the flag in the header before the data
    patch(path, data.index(CENTRAL) + 8, b"\x01")  # and in the directory
    with pytest.raises(ArchiveError, match="password"):
        unpack(path, tmp_path / "out")


@pytest.mark.parametrize("keep", [0, 10, -1, -30, -100])
def test_a_truncated_zip_is_said(tmp_path: Path, keep: int) -> None:
    path = pack(tmp_path / "a.zip", {"M/a.off": NOISE})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ArchiveError, match=re.escape(f"{path} is not a complete zip")):
        unpack(path, tmp_path / "out")


@given(
    st.data(),
    st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]),
)
@settings(max_examples=300)
def test_whatever_is_damaged_only_an_archive_error_comes_out(data: st.DataObject, method: int) -> None:
    """Bytes overwritten anywhere: an ArchiveError, or every content is right."""
    with TemporaryDirectory() as folder:
        contents = [NOISE[:100], b"OFF\n0 0 0\n"]
        path = pack(Path(folder) / "a.zip", {"M/a.off": contents[0], "M/b/c.off": contents[1]}, method)
        for _ in range(data.draw(st.integers(1, 3))):
            at = data.draw(st.integers(0, path.stat().st_size - 1))
            patch(path, at, data.draw(st.binary(min_size=1, max_size=1)))
        out = Path(folder) / "out"
        try:
            unpack(path, out)
        except ArchiveError:
            pass
        else:
            assert all(content in contents for content in tree(out).values())
        assert {entry.name for entry in Path(folder).iterdir()} == {"a.zip", "out"}
