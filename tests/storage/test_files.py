"""A page goes into a file of ours or a new one, or into a stream; what is somebody's stays."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from shapecnn.errors import UsageError
from shapecnn.storage import files
from shapecnn.storage.files import require_file, write_page
from tests.conftest import ROOT


def test_a_page_of_ours_is_replaced_and_keeps_its_permissions(tmp_path: Path) -> None:
    page = tmp_path / "deep" / "page.html"
    write_page(page, "<p>1")
    page.chmod(0o600)
    write_page(page, "<p>2 \udcff")
    assert page.read_text().startswith("<p>2 \\udcff<!-- written by shapecnn, ")
    assert stat.S_IMODE(page.stat().st_mode) == 0o600


@pytest.mark.parametrize("change", ["dear", "<p>1 and my notes", ""])
def test_a_page_that_is_not_ours_is_refused_and_stays(change: str, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    write_page(page, "<p>1")
    page.write_text(change and change + page.read_text())
    before = page.read_bytes()
    with pytest.raises(
        UsageError, match=r"page\.html exists, but shapecnn did not write the file, or the file has changed"
    ):
        write_page(page, "<p>2")
    assert page.read_bytes() == before
    write_page(page, "<p>2", overwrite=True)
    assert page.read_text().startswith("<p>2")


@pytest.mark.parametrize("overwrite", [False, True])
def test_nothing_is_written_through_a_link(overwrite: bool, tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("dear")
    (tmp_path / "page.html").symlink_to(tmp_path / "letter")
    with pytest.raises(UsageError, match="is a link, and shapecnn does not write through links"):
        write_page(tmp_path / "page.html", "<p>", overwrite)
    assert (tmp_path / "letter").read_text() == "dear"
    (tmp_path / "null.html").symlink_to("/dev/null")
    with pytest.raises(UsageError, match="is a link"):
        require_file(tmp_path / "null.html", overwrite)


def test_a_device_is_written_into_and_stays_one() -> None:
    write_page(Path("/dev/null"), "<p>")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_a_full_disk_is_named() -> None:
    with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
        write_page(Path("/dev/full"), "<p>1")


def test_a_pipe_that_nobody_reads_is_told_and_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "PATIENCE", 0.2)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="no process reads from this pipe; start the reading program first") as caught:
        write_page(tmp_path / "pipe", "<p>")
    assert caught.value.filename == str(tmp_path / "pipe")


def test_a_socket_as_standard_output_is_written_into() -> None:
    """As systemd and inetd give it: it has a name, by which it cannot be opened."""
    imports = "from pathlib import Path; from shapecnn.storage.files import write_page"
    code = f"{imports}; write_page(Path('/dev/stdout'), '<p>')"
    ours, theirs = socket.socketpair()
    with ours, theirs:
        subprocess.run(
            [sys.executable, "-c", code], stdout=theirs, check=True, env=os.environ | {"PYTHONPATH": str(ROOT)}
        )
        assert ours.recv(1 << 10).startswith(b"<p><!-- written by shapecnn")


def test_more_than_a_pipe_holds_waits_for_its_reader(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    page = "x" * 1_000_000
    code = "import sys, time; file = open(sys.argv[1], 'rb'); time.sleep(0.3); print(len(file.read()))"
    reader = subprocess.Popen([sys.executable, "-c", code, tmp_path / "pipe"], stdout=subprocess.PIPE, text=True)
    with closing(os.fdopen(os.open(tmp_path / "pipe", os.O_WRONLY), "wb")):  # once it is there
        write_page(tmp_path / "pipe", page)
    assert int(reader.communicate()[0]) > len(page)


def test_a_pipe_is_written_into(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "page.html")
    with subprocess.Popen(["cat", tmp_path / "page.html"], stdout=subprocess.PIPE, text=True) as reader:
        with closing(os.fdopen(os.open(tmp_path / "page.html", os.O_WRONLY), "wb")):  # once it reads
            write_page(tmp_path / "page.html", "<p>here")
        assert reader.communicate()[0].startswith("<p>here")


def test_standard_output_is_written_to_where_it_leads(tmp_path: Path) -> None:
    code = "import pathlib, shapecnn.storage.files as f; f.write_page(pathlib.Path('/dev/stdout'), '<p>')"
    with (tmp_path / "all").open("w") as file:
        file.write("first\n")
        file.flush()
        subprocess.run([sys.executable, "-c", code], stdout=file, check=True)
    assert (tmp_path / "all").read_text().startswith("first\n<p><!--")
