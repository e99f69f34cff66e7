"""The hashes of a folder's files: as sha256sum writes them, back as they were, and nothing else is believed."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapecnn.storage.checksums import SUMS, parse_sums, sums_bytes
from shapecnn.storage.reading import sha256

ONE, TWO = "1" * 64, "2" * 64
INSIDE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1).filter(
    lambda name: not name.startswith("/") and ".." not in name.split("/")
)
DIGESTS = st.binary(min_size=32, max_size=32).map(bytes.hex)


def sealed(lines: str | bytes) -> bytes:
    """A file of these lines whose own hash is right."""
    content = lines.encode() if isinstance(lines, str) else lines
    return f"# {hashlib.sha256(content).hexdigest()} of the lines below\n".encode() + content


def refused(content: bytes) -> str:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is what is asked for
        parse_sums(content)
    return str(caught.value)


def test_the_lines_are_known_ones_in_order_of_path() -> None:
    lines = f"\\{TWO}  a\\nb\n{ONE}  a b\n{ONE}  é/c\n"
    assert sums_bytes({"é/c": ONE, "a b": ONE, "a\nb": TWO}) == sealed(lines)
    assert parse_sums(sealed("")) == {}


@given(st.dictionaries(INSIDE, DIGESTS, max_size=8))
def test_what_was_written_is_read(sums: dict[str, str]) -> None:
    assert parse_sums(sums_bytes(sums)) == sums


@pytest.mark.skipif(not shutil.which("sha256sum"), reason="no sha256sum")
def test_sha256sum_checks_them(tmp_path: Path) -> None:
    names = ["a", "two words", "back\\slash", "line\nend", "*", "é"]
    for name in names:
        (tmp_path / name).write_text(name)
    (tmp_path / SUMS).write_bytes(sums_bytes({name: sha256(name.encode()) for name in names}))
    command = ["sha256sum", "--check", "--strict", "--quiet", SUMS]
    assert subprocess.run(command, cwd=tmp_path, check=False).returncode == 0
    (tmp_path / "line\nend").write_text("other")
    assert subprocess.run(command, cwd=tmp_path, check=False, capture_output=True).returncode == 1


@given(st.dictionaries(INSIDE, DIGESTS, max_size=4), st.data())
def test_any_one_flipped_bit_is_refused(sums: dict[str, str], data: st.DataObject) -> None:
    content = bytearray(sums_bytes(sums))
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert refused(bytes(content)) == "the hash in the first line does not match the other lines"


@pytest.mark.parametrize("kept", [0, 1, 66, 100, -1])
def test_what_was_cut_short_is_refused(kept: int) -> None:
    assert (
        refused(sums_bytes({"a": ONE, "b": TWO})[:kept]) == "the hash in the first line does not match the other lines"
    )


@pytest.mark.parametrize(
    "line",
    [
        "",
        "nothing",
        f"{ONE[:-1]}  a",
        f"{ONE}1  a",
        f"{'A' * 64}  a",
        f"{'g' * 64}  a",
        f"{ONE} a",
        f"{ONE} *a",
        f"{ONE}  ",
        f" {ONE}  a",
        f"\\\\{ONE}  a",
        f"SHA256 (a) = {ONE}",
    ],
)
def test_a_forged_line_is_named(line: str) -> None:
    assert (
        refused(sealed(f"{ONE}  A\n{line}\n"))
        == "line 3 does not consist of a SHA-256 hash and a relative path inside this folder"
    )


@pytest.mark.parametrize("name", ["/etc/passwd", "//a", "..", "../a", "a/../../b", "a/..", "a\0b", "/"])
def test_a_path_that_leads_out_is_named(name: str) -> None:
    assert (
        refused(sealed(f"{ONE}  {name}\n"))
        == "line 2 does not consist of a SHA-256 hash and a relative path inside this folder"
    )
    if name.isprintable():
        assert (
            refused(sealed(f"\\{ONE}  {name}\n"))
            == "line 2 does not consist of a SHA-256 hash and a relative path inside this folder"
        )


@pytest.mark.parametrize(
    "lines",
    [
        f"{ONE}  a\n{ONE}  a\n",  # twice
        f"{ONE}  a\n{TWO}  a\n",
        f"{ONE}  b\n{ONE}  a\n",  # out of order
        f"\\{ONE}  a\n",  # escaped without need
        f"\\{ONE}  a\\tb\n",
        f"\\{ONE}  a\\\n",
        f"{ONE}  a\\nb\n",  # not escaped
        f"{ONE}  a\r\n",
        f"{ONE}  a",  # a line without an end
        f"{ONE}  a\nmore",
    ],
)
def test_what_would_be_written_otherwise_is_refused(lines: str) -> None:
    assert refused(sealed(lines)) == (
        "a path is listed twice, is not in sorted order, or is escaped in another way than shapecnn does"
    )


def test_what_is_no_text_is_refused() -> None:
    assert "utf-8" in refused(sealed(b"\xff\n"))
