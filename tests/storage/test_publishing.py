from __future__ import annotations

import errno
import io
import os
import shutil
import signal
import stat
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from shapecnn.errors import ArchiveError, BusyError, Caution, StoredDataError, UsageError
from shapecnn.meshes.zips import check_members
from shapecnn.storage.atomic import create, write_atomic
from shapecnn.storage.checksums import SUMS, sums_bytes
from shapecnn.storage.publishing import exclusive, publish, published, recover
from shapecnn.storage.reading import json_bytes, map_stored, open_stored, read_json, read_stored, sha256, sha256_of
from shapecnn.storage.unfinished import MARK, claim, discard, is_claimed

OLD = {"a": b"old a", "b": b"old b", "c": b"old c"}
NEW = {"a": b"new a", "b": b"new b", "c": b"new c"}


class _Crash(BaseException):
    """Stands for the end of the process: nothing catches it."""


def _crash_at(step: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every call that changes the file system is a step and noted in the list; number ``step`` never happens."""
    calls: list[str] = []

    def counted(owner: Any, name: str) -> None:
        function = getattr(owner, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            calls.append(name)
            if len(calls) == step + 1:
                raise _Crash
            return function(*args, **kwargs)

        monkeypatch.setattr(owner, name, call)

    for name in ("mkdir", "open", "rename", "replace", "rmdir", "unlink"):
        counted(Path, name)
    counted(os, "fsync")
    counted(shutil, "rmtree")
    return calls


def _read_all(folder: Path) -> dict[str, bytes]:
    return {name: published(folder, name).read_bytes() for name in OLD}


def sums_of(files: dict[str, bytes]) -> bytes:
    return sums_bytes({name: sha256(data) for name, data in files.items()})


def stored(folder: Path) -> dict[str, bytes]:
    """The files of a folder, which are those whose hashes are there, and nothing else."""
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert files.pop(SUMS) == sums_of(files)
    return files


def _steps_of_a_publication(tmp_path: Path) -> int:
    publish(tmp_path / "count", OLD)
    with pytest.MonkeyPatch.context() as patch:
        calls = _crash_at(-1, patch)
        publish(tmp_path / "count", NEW)
    return len(calls)


def test_a_crash_at_any_step_leaves_all_old_or_all_new(tmp_path: Path) -> None:
    outcomes = []
    for step in range(_steps_of_a_publication(tmp_path)):
        folder = tmp_path / str(step)
        publish(folder, OLD)
        with pytest.MonkeyPatch.context() as patch:
            _crash_at(step, patch)
            with pytest.raises(_Crash):
                publish(folder, NEW)
        before = _read_all(folder)
        assert before in (OLD, NEW), f"a reader after a crash at step {step}"
        recover(folder)
        assert _read_all(folder) == before, f"recovery after a crash at step {step} changes what readers saw"
        assert stored(folder) == before
        outcomes.append(before)
    assert outcomes[0] == OLD
    assert outcomes[-1] == NEW
    assert outcomes == sorted(outcomes, key=lambda files: files == NEW)  # one commit, no way back


def test_who_holds_a_folder_finds_what_was_committed_in_place(tmp_path: Path) -> None:
    publish(tmp_path, OLD)
    claim(tmp_path / ".publish")
    for name in OLD:
        (tmp_path / name).rename(tmp_path / ".publish" / name)
    with exclusive(tmp_path):
        assert not (tmp_path / ".publish").exists()
        assert _read_all(tmp_path) == OLD
        assert all((tmp_path / name).exists() for name in OLD)


def test_a_crash_in_the_recovery_is_recovered_from(tmp_path: Path) -> None:
    for step in range(20):
        folder = tmp_path / str(step)
        publish(folder, OLD)
        claim(folder / ".publish")
        for name, data in {**NEW, SUMS: sums_of(NEW)}.items():
            (folder / ".publish" / name).write_bytes(data)
        with pytest.MonkeyPatch.context() as patch:
            _crash_at(step, patch)
            try:
                recover(folder)
            except _Crash:
                assert _read_all(folder) == NEW
            else:
                break
        publish(folder, OLD)  # the next writer finishes the recovery before its own work
        assert stored(folder) == OLD
    else:
        pytest.fail("the recovery has more steps than were tried")


def test_a_publication_replaces_only_its_own_files(tmp_path: Path) -> None:
    publish(tmp_path / "new" / "folder", {"a": b"1", "b": b"2"})
    publish(tmp_path / "new" / "folder", {"b": b"3"}, {"a": sha256(b"1")})
    assert stored(tmp_path / "new" / "folder") == {"a": b"1", "b": b"3"}


def test_readers_see_the_new_files_from_the_commit_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(tmp_path, OLD)
    seen = []
    real = Path.replace

    def watched(self: Path, target: Path) -> Path:
        seen.append(_read_all(tmp_path))
        return real(self, target)

    monkeypatch.setattr(Path, "replace", watched)
    publish(tmp_path, NEW)
    assert seen == [NEW] * 4  # and their hashes


def committed(folder: Path, files: dict[str, bytes]) -> Path:
    """What a process leaves that ends between the commit of a publication and its moves."""
    staged = folder / ".publish"
    claim(staged)
    for name, data in {**files, SUMS: sums_of(files)}.items():
        (staged / name).write_bytes(data)
    return staged


@pytest.mark.parametrize("name", ["b", "d", SUMS])
@pytest.mark.parametrize("make", [lambda path: path.write_text("dear"), lambda path: path.symlink_to("a")])
def test_what_is_somebodys_is_not_replaced_by_what_was_committed(name: str, make: Any, tmp_path: Path) -> None:
    """After a crash, for as long as it takes until the next command, the old files lie where the new ones belong."""
    publish(tmp_path, OLD)
    committed(tmp_path, {**NEW, "d": b"new d"})
    (tmp_path / name).unlink(missing_ok=True)
    make(tmp_path / name)
    refused = pytest.raises(
        UsageError, match=rf"would overwrite {tmp_path / name}, which .* Move it away, or add --overwrite"
    )
    with refused, exclusive(tmp_path):
        pytest.fail("it was written")
    assert (tmp_path / name).is_symlink() or (tmp_path / name).read_text() == "dear"
    assert (tmp_path / "a").read_bytes() == OLD["a"]  # nothing was moved
    with exclusive(tmp_path, overwrite=True):
        assert _read_all(tmp_path) == NEW
        assert (tmp_path / "d").read_bytes() == b"new d"


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/etc/passwd"), os.mkdir])
def test_nothing_but_files_is_published(make: Any, overwrite: bool, tmp_path: Path) -> None:
    publish(tmp_path, OLD)
    planted = committed(tmp_path, {"a": b"new a"}) / "b"
    make(planted)
    refused = pytest.raises(UsageError, match=rf"{planted} is not a regular file, .* do not trust {tmp_path}")
    with refused, exclusive(tmp_path, overwrite):
        pytest.fail("it was written")
    assert (tmp_path / "b").read_bytes() == OLD["b"]


def test_published_writes_nothing(tmp_path: Path) -> None:
    assert published(tmp_path / "nowhere", "a") == tmp_path / "nowhere" / "a"
    recover(tmp_path / "nowhere")
    assert not list(tmp_path.iterdir())


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


def test_sha256_is_the_known_one() -> None:
    assert sha256(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


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
        StoredDataError, match=r"model\.json cannot be read \(.+\)\. Put it back from a copy, or make it again\.$"
    ):
        read_json(path)


HOLDER = """
import pathlib, sys
from shapecnn.storage.publishing import exclusive
with exclusive(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds ``tmp_path`` until its standard input ends."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_writer_in_another_process_is_told_so(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    for _ in range(2):  # the failed attempt must not disturb the lock
        with pytest.raises(BusyError) as caught, exclusive(tmp_path):
            pytest.fail("two writers at once")
        message = f"Another shapecnn process is writing to {tmp_path}. Wait for it, or choose another output."
        assert str(caught.value) == message
    # a wait would never have ended: only now does the holder let go
    holder.communicate("")
    with exclusive(tmp_path):
        pass


def test_a_killed_writer_leaves_no_lock(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with exclusive(tmp_path):
        pass


def test_the_lock_is_let_go_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="mine"), exclusive(tmp_path / "new"):
        raise ValueError("mine")
    with exclusive(tmp_path / "new"):
        pass


def test_a_writer_that_opened_the_lock_in_time_shares_it_with_those_who_come_later(tmp_path: Path) -> None:
    """The race of a lock file that is removed on release: who has it open would lock a file that is no more."""
    fcntl = pytest.importorskip("fcntl")
    with exclusive(tmp_path):
        early = os.open(tmp_path / ".lock", os.O_RDWR)
    try:
        fcntl.flock(early, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with pytest.raises(BusyError), exclusive(tmp_path):
            pytest.fail("two writers at once")
    finally:
        os.close(early)


def _zip(*names: str, mode: int = stat.S_IFREG | 0o644) -> zipfile.ZipFile:
    archive = zipfile.ZipFile(io.BytesIO(), "w")
    for name in names:
        member = zipfile.ZipInfo("x")
        member.filename = name  # as a hostile packer would write it: ZipInfo() itself would mend some
        member.create_system = 3
        member.external_attr = mode << 16
        archive.writestr(member, b"")
    return archive


@pytest.mark.parametrize(
    "name",
    [
        "../a.off",
        "a/../../b.off",
        "/etc/passwd",
        "//host/share/a.off",
        "C:/a.off",
        "c:a.off",
        "..\\a.off",
        "a\\..\\b.off",
        "\\a.off",
        "a/..",
        "a/../",
    ],
)
def test_a_member_that_leads_out_of_the_archive_is_refused(name: str) -> None:
    with pytest.raises(ArchiveError, match=r"a path that leads out of it\. Do not trust this file\.$"):
        check_members(_zip("fine.off", name))


def test_a_link_in_an_archive_is_refused() -> None:
    with pytest.raises(ArchiveError, match=r"holds the link 'a\.off'"):
        check_members(_zip("a.off", mode=stat.S_IFLNK | 0o777))


def test_the_files_of_an_archive_without_its_folders() -> None:
    names = ["a/", "a/b.off", "a/..b", "a...off", "shape:1.off", "sub/C:/x.off", "win\\dows.off"]
    assert [member.filename for member in check_members(_zip(*names))] == names[1:]


@pytest.mark.parametrize("reason", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL])
def test_where_there_are_no_locks_it_is_said_and_the_work_goes_on(
    reason: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also beside the lock file that a run on another machine left."""
    fcntl = pytest.importorskip("fcntl")
    (tmp_path / ".lock").touch()

    def flock(_file: int, _operation: int) -> None:
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(fcntl, "flock", flock)
    for _ in range(2):
        with pytest.warns(Caution, match="is on a file system without locks .* run one at a time"), exclusive(tmp_path):
            pass


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


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: os.symlink(__file__, path), os.mkdir])
def test_only_regular_files_are_read(make: Any, tmp_path: Path) -> None:
    make(tmp_path / "a")
    for read in (read_stored, map_stored, sha256_of):
        with pytest.raises(OSError, match=r"it is (not a regular file|a link)"):
            read(tmp_path / "a")


def test_nothing_is_made_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("dear")
    (tmp_path / "a").symlink_to(tmp_path / "letter")
    with create(tmp_path / "a") as file:
        file.write(b"new")
    assert ((tmp_path / "a").read_text(), (tmp_path / "letter").read_text()) == ("new", "dear")


def test_what_fails_while_a_folder_is_written_names_it(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"No space left on device: '.*/out'"), exclusive(tmp_path / "out"):
        Path("/dev/full").write_bytes(b"1")


def test_what_is_not_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe"):
        with pytest.raises(OSError, match=f"it is .*/{name}'"):
            open_stored(tmp_path / name)


def test_what_else_keeps_a_folder_from_being_locked_is_told_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fcntl = pytest.importorskip("fcntl")

    def flock(_file: int, _operation: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(OSError, match="Input/output error") as raised, exclusive(tmp_path):
        pass
    assert raised.value.filename == str(tmp_path / ".lock")
