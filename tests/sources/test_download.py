"""Transfers over loopback from a server that breaks off, ignores ranges, changes its file or sends wrong headers."""

from __future__ import annotations

import hashlib
import io
import json
import re
import resource
import socket
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapecnn.errors import (
    ArchiveError,
    BusyError,
    DownloadError,
    MismatchError,
    StoredDataError,
    UsageError,
)
from shapecnn.meshes.collection import list_shapes
from shapecnn.sources import transfer as module
from shapecnn.sources.download import SOURCES, Origin, Source, download
from shapecnn.sources.transfer import fetch
from shapecnn.storage.publishing import exclusive
from shapecnn.storage.unfinished import claim

OFF = b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n"
MESHES = ["chair/train/chair_0001.off", "chair/test/chair_0002.off", "sofa/train/sofa_0001.off"]


def modelnet_zip(root: str = "ModelNet10/", noise: int = 5000, seed: int = 0) -> bytes:
    """A tiny zip in ModelNet's layout, with a README of ``noise`` bytes that do not compress."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            f"{root}README.txt", b"".join(hashlib.sha256(b"%d %d" % (seed, i)).digest() for i in range(noise // 32))
        )
        for name in MESHES:
            archive.writestr(root + name, OFF)
        archive.writestr("__MACOSX/ModelNet10/._README.txt", b"junk")
        archive.writestr(f"{root}.DS_Store", b"junk")
    return buffer.getvalue()


ZIP = modelnet_zip()


@dataclass
class Server:
    """What the server does, to be changed between requests, and what it was asked."""

    url: str
    body: bytes = ZIP
    etag: str | None = '"v1"'
    last_modified: str | None = None
    ranges: bool = True
    if_range: bool = True  # False: gives the range of whatever version it has
    shift: int = 0  # bytes by which ranges begin too early
    length: bool = True  # False: no Content-Length
    stall: threading.Event | None = None  # waited for in the middle of the body
    statuses: list[int] = field(default_factory=list)  # answers before anything else
    breaks: list[int] = field(default_factory=list)  # bytes sent of the next bodies before the connection breaks
    requests: list[Message] = field(default_factory=list)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.body).hexdigest()


def answer(server: Server, handler: BaseHTTPRequestHandler) -> None:
    server.requests.append(handler.headers)
    if server.statuses:
        handler.send_error(server.statuses.pop(0))
        return
    start = 0
    asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
    current = handler.headers.get("If-Range") in (server.etag, server.last_modified)
    if asked and server.ranges and (current or not server.if_range):
        start = int(asked[1]) - server.shift
        if start >= len(server.body):
            handler.send_error(416)
            return
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes {start}-{len(server.body) - 1}/{len(server.body)}")
    else:
        handler.send_response(200)
    if server.length:
        handler.send_header("Content-Length", str(len(server.body) - start))
    if server.etag:
        handler.send_header("ETag", server.etag)
    if server.last_modified:
        handler.send_header("Last-Modified", server.last_modified)
    handler.end_headers()
    body = server.body[start:]
    if server.breaks:
        body = body[: server.breaks.pop(0)]
    if server.stall:
        handler.wfile.write(body[: len(body) // 2])
        server.stall.wait(10)
    else:
        handler.wfile.write(body)


@contextmanager
def serving() -> Iterator[Server]:
    """A server on a free port of 127.0.0.1, for as long as the context lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(server, self)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        server = Server(f"http://127.0.0.1:{http.server_port}/ModelNet10.zip")
        threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield server
        finally:
            http.shutdown()


def unreachable() -> str:
    """An address on loopback where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/ModelNet10.zip"


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as running:
        yield running


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_WAITS", (0, 0, 0))


def tree(folder: Path) -> set[str]:
    """Every file below ``folder`` but the lock of shapecnn.storage.publishing, which may stay."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} - {".lock"}


def is_whole(dest: Path) -> bool:
    """Only the collection is in ``dest``: no junk, no part."""
    return tree(dest) == {f"ModelNet10/{name}" for name in (*MESHES, "README.txt", "download.json")}


# --- a collection ---


def test_a_collection_is_fetched_checked_and_unpacked(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    done = download("modelnet10", tmp_path, server.url, progress=lambda *step: seen.append(step))
    assert done.path == tmp_path / "ModelNet10"
    assert done.new
    assert done.shapes == 3
    assert done.origin == Origin(server.url, len(ZIP), server.sha256)
    assert is_whole(tmp_path)
    assert [(s.id, s.label, s.split) for s in list_shapes(done.path)] == [
        ("chair/test/chair_0002.off", "chair", "test"),
        ("chair/train/chair_0001.off", "chair", "train"),
        ("sofa/train/sofa_0001.off", "sofa", "train"),
    ]
    assert list_shapes(done.path)[0].read() == OFF
    unpacked = len(OFF) * 3 + (done.path / "README.txt").stat().st_size
    assert (len(ZIP), len(ZIP)) in seen
    assert seen[-1] == (unpacked, unpacked)


def test_a_second_run_fetches_nothing(server: Server, tmp_path: Path) -> None:
    first = download("modelnet10", tmp_path, server.url)
    second = download("modelnet10", tmp_path, server.url, sha256=server.sha256.upper())
    assert not second.new
    assert (second.path, second.shapes, second.origin) == (first.path, first.shapes, first.origin)
    assert len(server.requests) == 1


def test_a_second_run_misses_what_was_lost(server: Server, tmp_path: Path) -> None:
    download("modelnet10", tmp_path, server.url)
    (tmp_path / "ModelNet10" / MESHES[0]).unlink()
    with pytest.raises(StoredDataError, match="fewer mesh files"):
        download("modelnet10", tmp_path, server.url)


def test_a_second_run_compares_the_sha256(server: Server, tmp_path: Path) -> None:
    download("modelnet10", tmp_path, server.url)
    with pytest.raises(MismatchError, match=server.sha256):
        download("modelnet10", tmp_path, server.url, sha256="0" * 64)


def test_a_folder_from_elsewhere_is_taken_as_it_is(tmp_path: Path) -> None:
    mesh = tmp_path / "ModelNet10" / MESHES[0]
    mesh.parent.mkdir(parents=True)
    mesh.write_bytes(OFF)
    found = download("modelnet10", tmp_path, unreachable())
    assert (found.new, found.shapes, found.origin) == (False, 1, None)
    with pytest.raises(MismatchError, match="unknown"):
        download("modelnet10", tmp_path, sha256="0" * 64)


@pytest.mark.parametrize("root", ["ModelNet10/", "data-of-mine/", "", "./ModelNet10/"])
def test_the_folder_has_its_name_whatever_the_root_of_the_zip(server: Server, tmp_path: Path, root: str) -> None:
    server.body = modelnet_zip(root)
    assert download("modelnet10", tmp_path, server.url).shapes == 3
    assert is_whole(tmp_path)


def test_a_lone_class_is_not_taken_for_a_root(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "chairs.zip", "w") as archive:
        archive.writestr("chair/train/chair_0001.off", OFF)
        archive.writestr("chair/test/chair_0002.off", OFF)
    done = download("modelnet10", tmp_path / "dest", str(tmp_path / "chairs.zip"))
    assert [shape.label for shape in list_shapes(done.path)] == ["chair", "chair"]
    assert (done.path / "chair" / "train").is_dir()


def test_two_at_once_do_not_mix(server: Server, tmp_path: Path) -> None:
    with exclusive(tmp_path), pytest.raises(BusyError):
        download("modelnet10", tmp_path, server.url)


def test_work_of_a_killed_run_is_no_hindrance(server: Server, tmp_path: Path) -> None:
    left = tmp_path / ".partial" / "ModelNet10" / "chair"
    claim(tmp_path / ".partial")
    left.mkdir(parents=True)
    (left / "half.off").write_bytes(OFF[:9])
    download("modelnet10", tmp_path, server.url)
    assert is_whole(tmp_path)


# --- a zip at hand ---


@pytest.mark.parametrize("form", [str, Path.as_uri])
def test_a_zip_at_hand_is_used_and_kept(tmp_path: Path, form: type[str]) -> None:
    at_hand = tmp_path / "at hand.zip"
    at_hand.write_bytes(ZIP)
    done = download("modelnet10", tmp_path / "dest", form(at_hand))
    assert done.origin == Origin(form(at_hand), len(ZIP), hashlib.sha256(ZIP).hexdigest())
    assert at_hand.read_bytes() == ZIP
    assert is_whole(tmp_path / "dest")


def test_a_damaged_zip_at_hand_is_kept(tmp_path: Path) -> None:
    at_hand = tmp_path / "cut.zip"
    at_hand.write_bytes(ZIP[:-30])
    with pytest.raises(ArchiveError, match=r"cut\.zip is not a complete zip"):
        download("modelnet10", tmp_path / "dest", str(at_hand))
    assert at_hand.exists()
    assert tree(tmp_path / "dest") == set()


@pytest.mark.parametrize("url", ["missing.zip", "file:///missing.zip", "ftp://127.0.0.1/a.zip", "http://", "http://[/"])
def test_what_is_no_address_and_no_file_is_said(tmp_path: Path, url: str) -> None:
    with pytest.raises(UsageError, match=re.escape(url.removeprefix("file://"))):
        download("modelnet10", tmp_path, url)


# --- resume ---


@pytest.mark.parametrize("breaks", [[1], [len(ZIP) - 1], [100, 100, 1, 0, 0, 2000]])
def test_a_body_that_breaks_off_is_taken_up_where_it_stopped(server: Server, tmp_path: Path, breaks: list[int]) -> None:
    server.breaks = list(breaks)
    assert download("modelnet10", tmp_path, server.url).origin == Origin(server.url, len(ZIP), server.sha256)
    have = [sum(breaks[:i]) for i in range(1, len(breaks) + 1)]
    assert [request["Range"] for request in server.requests] == [None, *(f"bytes={n}-" for n in have)]
    assert {request["If-Range"] for request in server.requests[1:]} == {'"v1"'}


def test_a_run_goes_on_from_the_run_before(server: Server, tmp_path: Path) -> None:
    server.breaks = [1000, 0, 0, 0]
    with pytest.raises(DownloadError, match="again and again"):
        download("modelnet10", tmp_path, server.url)
    assert (tmp_path / "modelnet10.zip.part").read_bytes() == ZIP[:1000]
    seen: list[tuple[int, int | None]] = []
    download("modelnet10", tmp_path, server.url, progress=lambda *step: seen.append(step))
    assert server.requests[-1]["Range"] == "bytes=1000-"
    assert seen[0] == (len(ZIP), len(ZIP))
    assert is_whole(tmp_path)


def test_a_part_of_another_address_is_not_gone_on_with(server: Server, tmp_path: Path) -> None:
    server.breaks = [1000, 0, 0, 0]
    with pytest.raises(DownloadError):
        download("modelnet10", tmp_path, server.url)
    server.requests.clear()
    download("modelnet10", tmp_path, f"{server.url}?mirror")
    assert [request["Range"] for request in server.requests] == [None]


def test_a_server_without_ranges_starts_again(server: Server, tmp_path: Path) -> None:
    server.ranges = False
    server.breaks = [3000, 1000]
    fetch(server.url, tmp_path / "part")
    assert (tmp_path / "part").read_bytes() == ZIP
    assert len(server.requests) == 3


@pytest.mark.parametrize("heeds_if_range", [True, False])
def test_a_file_that_changed_is_fetched_anew(server: Server, tmp_path: Path, heeds_if_range: bool) -> None:
    server.if_range = heeds_if_range
    server.breaks = [1000, 0, 0, 0]
    with pytest.raises(DownloadError):
        fetch(server.url, tmp_path / "part")
    server.body, server.etag = modelnet_zip(seed=1), '"v2"'
    assert len(server.body) == len(ZIP)
    fetch(server.url, tmp_path / "part")
    assert (tmp_path / "part").read_bytes() == server.body


def test_a_range_that_begins_elsewhere_is_not_used(server: Server, tmp_path: Path) -> None:
    server.shift = 10
    server.breaks = [1000]
    fetch(server.url, tmp_path / "part")
    assert (tmp_path / "part").read_bytes() == ZIP
    assert [request["Range"] for request in server.requests] == [None, "bytes=1000-", None]


@pytest.mark.parametrize("noise", [4000, 6000])
def test_another_size_gives_a_change_away(server: Server, tmp_path: Path, noise: int) -> None:
    server.if_range = False
    server.breaks = [1000, 0, 0, 0]
    with pytest.raises(DownloadError):
        fetch(server.url, tmp_path / "part")
    server.body = modelnet_zip(noise=noise, seed=1)
    fetch(server.url, tmp_path / "part")
    assert (tmp_path / "part").read_bytes() == server.body


@pytest.mark.parametrize(
    ("etag", "date", "if_range"),
    [
        (None, "Tue, 01 Sep 2015 00:00:00 GMT", "Tue, 01 Sep 2015 00:00:00 GMT"),
        ('W/"v1"', "Tue, 01 Sep 2015 00:00:00 GMT", "Tue, 01 Sep 2015 00:00:00 GMT"),
        ('W/"v1"', None, None),
        (None, None, None),
    ],
)
def test_only_a_strong_validator_lets_a_transfer_go_on(
    server: Server, tmp_path: Path, etag: str | None, date: str | None, if_range: str | None
) -> None:
    server.etag, server.last_modified = etag, date
    server.breaks = [1000]
    fetch(server.url, tmp_path / "part")
    assert (tmp_path / "part").read_bytes() == ZIP
    again = server.requests[1]
    assert (again["If-Range"], again["Range"]) == (if_range, "bytes=1000-" if if_range else None)


def test_a_part_longer_than_the_file_is_thrown_away(server: Server, tmp_path: Path) -> None:
    part = tmp_path / "part"
    part.write_bytes(ZIP + b"more")
    (tmp_path / "part.json").write_text(json.dumps({"url": server.url, "size": len(ZIP), "version": '"v1"'}))
    fetch(server.url, part)
    assert part.read_bytes() == ZIP


def test_a_part_without_its_note_is_not_trusted(server: Server, tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(b"of an unknown file")
    fetch(server.url, tmp_path / "part")
    assert (tmp_path / "part").read_bytes() == ZIP


@pytest.mark.parametrize("length", [True, False])
def test_a_whole_part_is_not_asked_for_again(server: Server, tmp_path: Path, length: bool) -> None:
    server.length = length
    fetch(server.url, tmp_path / "part")
    fetch(server.url, tmp_path / "part")
    assert (tmp_path / "part").read_bytes() == ZIP
    assert len(server.requests) == 1


FAULTS = st.lists(
    st.tuples(st.sampled_from(["break", "change", "forget ranges", "forget if-range", "503"]), st.integers(0, 6000)),
    max_size=8,
)


@given(FAULTS)
@settings(max_examples=40)
def test_whatever_happens_a_file_is_never_mixed_of_two(faults: list[tuple[str, int]]) -> None:
    """Each fault befalls one call, the last call none; what it leaves is one version that the server had."""
    with TemporaryDirectory() as folder, serving() as server:
        part = Path(folder) / "part"
        versions = {server.body}
        for number, (fault, size) in enumerate(faults):
            server.ranges, server.if_range = fault != "forget ranges", fault != "forget if-range"
            server.statuses = [503] if fault == "503" else []
            server.breaks = [size, 0, 0, 0]
            if fault == "change":
                server.body, server.etag = modelnet_zip(seed=number + 1), f'"{number}"'
                versions.add(server.body)
            with suppress(DownloadError):
                fetch(server.url, part)
                assert part.read_bytes() in versions
        server.statuses, server.breaks = [], []
        fetch(server.url, part)
        assert part.read_bytes() in versions


# --- what goes wrong ---


@pytest.mark.parametrize("status", [403, 404, 500, 503])
def test_a_refusal_is_said_at_once(server: Server, tmp_path: Path, status: int) -> None:
    server.statuses = [status]
    with pytest.raises(DownloadError, match=rf"The server 127.* answers {status} .*--url URL_OR_FILE"):
        download("modelnet10", tmp_path, server.url)
    assert len(server.requests) == 1


def test_a_refusal_in_the_middle_is_waited_out(server: Server, tmp_path: Path) -> None:
    server.breaks = [1000]

    def then_fail(done: int, total: int | None) -> None:
        server.statuses = [503, 503] if len(server.requests) == 1 else []

    fetch(server.url, tmp_path / "part", then_fail)
    assert (tmp_path / "part").read_bytes() == ZIP
    assert len(server.requests) == 4


def test_the_official_server_that_does_not_answer_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = unreachable()
    monkeypatch.setitem(SOURCES, "modelnet10", Source("ModelNet10", nobody, "0" * 64))
    host = nobody.split("/")[2]
    with pytest.raises(DownloadError, match=rf"^The official server {host} does not answer\. .*--url URL_OR_FILE"):
        download("modelnet10", tmp_path)


def test_a_server_that_falls_silent_is_given_up(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_TIMEOUT", (1, 0.1))
    server.body = modelnet_zip(noise=300_000)
    server.stall = threading.Event()
    with pytest.raises(DownloadError, match="again and again"):
        fetch(server.url, tmp_path / "part")
    server.stall.set()
    assert len(server.body) / 3 < (tmp_path / "part").stat().st_size < len(server.body)


def test_another_sha256_is_refused_and_not_kept(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=f"{server.sha256}, not {'0' * 64}"):
        download("modelnet10", tmp_path, server.url, sha256="0" * 64)
    assert tree(tmp_path) == set()
    assert download("modelnet10", tmp_path, server.url, sha256=server.sha256.upper()).new


def test_the_official_server_must_give_the_official_zip(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SOURCES, "modelnet10", Source("ModelNet10", server.url, "0" * 64))
    with pytest.raises(DownloadError, match=f"add --sha256 {server.sha256}"):
        download("modelnet10", tmp_path)
    assert download("modelnet10", tmp_path, sha256=server.sha256).new


@pytest.mark.parametrize("sha256", ["", "abc", "g" * 64, "0" * 65])
def test_what_is_no_sha256_is_said(tmp_path: Path, sha256: str) -> None:
    with pytest.raises(UsageError, match="64 hexadecimal digits"):
        download("modelnet10", tmp_path, unreachable(), sha256)


def test_a_damaged_download_is_not_kept(server: Server, tmp_path: Path) -> None:
    at = ZIP.index(b"ModelNet10/README.txt") + 100
    server.body = ZIP[:at] + bytes([ZIP[at] ^ 1]) + ZIP[at + 1 :]
    with pytest.raises(ArchiveError, match=r"README\.txt.*Run again with an undamaged copy.* next run starts over"):
        download("modelnet10", tmp_path, server.url)
    assert tree(tmp_path) == set()
    server.body = ZIP
    assert download("modelnet10", tmp_path, server.url).new


@pytest.mark.parametrize("body", [b"", b"<!DOCTYPE html><p>Sign in to this network"])
def test_a_page_in_place_of_the_zip_is_said(server: Server, tmp_path: Path, body: bytes) -> None:
    server.body = body
    with pytest.raises(ArchiveError, match="is not a complete zip"):
        download("modelnet10", tmp_path, server.url)
    assert tree(tmp_path) == set()


def test_a_zip_of_something_else_is_said(server: Server, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("holiday/beach.jpg", b"\xff\xd8")
    server.body = buffer.getvalue()
    with pytest.raises(ArchiveError, match="no mesh files"):
        download("modelnet10", tmp_path, server.url)
    assert tree(tmp_path) == set()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the always full device /dev/full of Linux")
def test_a_full_disk_is_said(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # Python 3.11 would keep a .pyc file that was cut off
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4, hard))  # no file may grow larger, as on a full disk
    try:
        with pytest.raises(DownloadError, match=f"^The download failed at {tmp_path}: File too large. Free disk space"):
            download("modelnet10", tmp_path, server.url)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_link_in_the_place_of_a_download_is_refused(overwrite: bool, server: Server, tmp_path: Path) -> None:
    letter = tmp_path / "letter"
    letter.write_text("dear")
    (tmp_path / "modelnet10.zip.part").symlink_to(letter)
    with pytest.raises(UsageError, match=r"modelnet10\.zip\.part, which shapecnn did not write\. Move that file"):
        download("modelnet10", tmp_path, server.url, overwrite=overwrite)
    assert letter.read_text() == "dear"


def test_a_file_that_a_person_put_in_the_place_of_a_download_stays(server: Server, tmp_path: Path) -> None:
    (tmp_path / "modelnet10.zip.part").write_text("dear")
    with pytest.raises(UsageError, match=r"modelnet10\.zip\.part, which shapecnn did not write"):
        download("modelnet10", tmp_path, server.url)
    assert (tmp_path / "modelnet10.zip.part").read_text() == "dear"
    assert download("modelnet10", tmp_path, server.url, overwrite=True).shapes


def test_a_disk_full_while_unpacking_does_not_cost_the_download(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # Python 3.11 would keep a .pyc file that was cut off
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        digits = b"".join(b"%d %d %d\n" % (i, i * i, i**3) for i in range(10_000))
        archive.writestr("ModelNet10/chair/train/chair_0001.off", digits)
    server.body = buffer.getvalue()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))  # no file may grow larger, as on a full disk
    try:
        with pytest.raises(DownloadError, match="File too large"):
            download("modelnet10", tmp_path, server.url)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert tree(tmp_path) == {"modelnet10.zip.part", "modelnet10.zip.part.json"}
    assert download("modelnet10", tmp_path, server.url).shapes == 1
    assert len(server.requests) == 1
