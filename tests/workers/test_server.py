"""What workers start from: nobody's code but ours; and what is said when they cannot start."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from shapecnn.errors import ProcessError
from shapecnn.workers import pool, server
from shapecnn.workers.pool import Workers, run
from tests.conftest import ROOT
from tests.solids import write_box

SCRIPT = str(Path(sys.executable).with_name("shapecnn"))
BEFORE_ANY_OF_US = {
    "collections", "contextlib", "functools", "importlib", "keyword", "operator", "pkgutil", "reprlib", "runpy",
    "types", "warnings",
}  # fmt: skip
"""What `python -m` itself may import while the current folder comes first."""


@pytest.fixture
def trapped(tmp_path: Path) -> Iterator[Path]:
    """A current folder with a mesh, and with a file for each module that there is, of Python or installed, which notes
    that it was run."""
    write_box(tmp_path / "meshes" / "box.off")
    installed = {name for name in metadata.packages_distributions() if name.isidentifier()}
    names = sys.stdlib_module_names | installed | {"sitecustomize", "usercustomize"}
    for name in names - BEFORE_ANY_OF_US - {"shapecnn"}:
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'run')!r}, 'a').write({name + ' '!r})\n")
    yield tmp_path
    assert not (tmp_path / "run").exists(), (tmp_path / "run").read_text()


@pytest.mark.parametrize("command", [[SCRIPT], [sys.executable, "-m", "shapecnn"]], ids=["script", "python -m"])
def test_nothing_in_the_current_folder_is_run(command: list[str], trapped: Path) -> None:
    words = [*command, "voxelize", "meshes", "out", "--workers", "1", "--json"]
    done = subprocess.run(words, cwd=trapped, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["written"] == 1


CALLER = """
from pathlib import Path
with Path("times").open("a") as file:
    file.write("run once\\n")
from shapecnn.meshes.mesh import load_mesh
from shapecnn.workers.pool import Workers, run
((_, mesh),) = run(load_mesh, [Path("meshes/box.off")], Workers(1))
print(len(mesh.faces))
"""


@pytest.mark.parametrize("how", ["script", "standard input", "python -c"])
def test_workers_do_not_run_the_callers_program(how: str, tmp_path: Path) -> None:
    write_box(tmp_path / "meshes" / "box.off")
    (tmp_path / "caller.py").write_text(CALLER)
    words = {"script": ["caller.py"], "standard input": [], "python -c": ["-c", CALLER]}[how]
    given = CALLER if how == "standard input" else None
    done = subprocess.run(
        [sys.executable, *words], cwd=tmp_path, input=given, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "12\n", "")
    assert (tmp_path / "times").read_text() == "run once\n"


def test_the_callers_own_program_and_environment_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    main = sys.modules["__main__"]
    list(pool.run(abs, [-1], Workers(1)))
    assert sys.modules["__main__"] is main
    assert "PYTHONSAFEPATH" not in os.environ


def blocked(_: object) -> set[int]:
    return {int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, [])}


def test_signals_to_the_whole_group_are_for_the_parent_alone() -> None:
    """As a terminal that closes and `timeout` send them: no shape fails because its worker was told first."""
    ((_, outcome),) = pool.run(blocked, [0], Workers(1))
    assert outcome == {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    assert not blocked(0) & {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


def test_a_server_that_has_ended_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def end(*_: object) -> None:
        raise EOFError("unexpected EOF")

    monkeypatch.setattr(multiprocessing.context.ForkServerProcess, "_Popen", staticmethod(end))
    with pytest.raises(ProcessError, match=r"^The process that starts the workers has ended\. .*fewer --workers\.$"):
        list(pool.run(abs, [1], Workers(1)))


def test_too_many_open_files_are_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(multiprocessing.context.ForkServerProcess, "_Popen", staticmethod(refuse))
    with pytest.raises(ProcessError, match=r"^No worker process can be started \(Too many open files\)\. .*\.$"):
        list(pool.run(abs, [1], Workers(1)))


def nobody(_: object) -> None:
    """Stands for a function that a worker does not find."""


def test_a_worker_that_cannot_begin_says_why(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(nobody, "__qualname__", "somebody")
    monkeypatch.setitem(globals(), "somebody", nobody)
    with pytest.raises(ProcessError, match=r"could not start: an unexpected error .*AttributeError: .*somebody"):
        list(pool.run(nobody, [1], Workers(1)))
    assert capfd.readouterr().err == ""
    assert multiprocessing.active_children() == []


def test_no_worker_is_left_that_would_keep_the_end_waiting() -> None:
    running = pool.run(abs, [-1, -2, -3], Workers(1))
    next(running)
    (process,) = multiprocessing.active_children()
    server._kill_processes()
    process.join(10)
    assert process.exitcode == -signal.SIGKILL
    running.close()


FORKED = """
import multiprocessing, os, signal, sys, time
from shapecnn.workers.pool import Workers, run
from tests.workers.test_server import plus_one
list(run(plus_one, [1], Workers(1)))
process = multiprocessing.get_context("forkserver").Process(target=time.sleep, args=(60,))
process.start(); time.sleep(0.5); process.terminate(); process.join(20)
print(process.exitcode, flush=True)
child = os.fork()
if child == 0:
    print([result for _, result in run(plus_one, [1], Workers(1))], flush=True)
    os._exit(0)
os.waitpid(child, 0)
print([result for _, result in run(plus_one, [2], Workers(1))], flush=True)
"""


def plus_one(number: int) -> int:
    return number + 1


def test_processes_of_the_caller_and_forked_children_work_beside_the_workers() -> None:
    """Regression: a forkserver of the caller ignored SIGTERM, and a forked child could start no worker."""
    done = subprocess.run([sys.executable, "-c", FORKED], cwd=ROOT,
                          capture_output=True, text=True, check=False, timeout=120)  # fmt: skip
    assert (done.returncode, done.stdout.splitlines()) == (0, [str(-signal.SIGTERM), "[2]", "[3]"]), done.stderr


def test_a_daemonic_process_may_use_workers() -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply_async(_in_a_pool).get(timeout=120) == [3]


def _in_a_pool() -> list[Any]:
    return [result for _, result in run(plus_one, [2], Workers(1))]
