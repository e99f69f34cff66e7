from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shapecnn.errors import BusyError, Caution, UsageError
from shapecnn.storage.checksums import SUMS, sums_bytes
from shapecnn.storage.publishing import exclusive, publish, published, recover
from shapecnn.storage.reading import sha256
from shapecnn.storage.unfinished import claim

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


def test_what_fails_while_a_folder_is_written_names_it(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"No space left on device: '.*/out'"), exclusive(tmp_path / "out"):
        Path("/dev/full").write_bytes(b"1")


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
