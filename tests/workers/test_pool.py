"""Workers that die, hang, grow, are wrong or are left alone; and what they start from."""

from __future__ import annotations

import ctypes
import errno
import itertools
import mmap
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numba
import numpy as np
import pytest

from shapecnn.errors import MeshError, MissingLibraryError, ShapecnnError, UsageError, WorkerError
from shapecnn.workers import pool
from shapecnn.workers.pool import Workers

DEATHS: dict[str, tuple[Callable[[], object], str]] = {
    "killed": (lambda: os.kill(os.getpid(), signal.SIGKILL), "Killed"),
    "exit": (lambda: os._exit(3), "exit status 3"),
    "exit as if all were well": (lambda: os._exit(0), "exit status 0"),
    "sys.exit": (lambda: sys.exit(4), "exit status 4"),
    "segfault": (lambda: ctypes.string_at(0), "Segmentation fault"),
}


def double(x: int) -> int:
    return 2 * x


def pid(_: object) -> int:
    return os.getpid()


def lack(_: int) -> None:
    raise MissingLibraryError("there is no open3d")


def refuse(x: int) -> int:
    if x % 2:
        raise MeshError("no-faces", f"{x} has no faces")
    return x


def die(how: str) -> str:
    if how in DEATHS:
        DEATHS[how][0]()
    return how


def sleep(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def sleep_deaf(seconds: float) -> float:
    """Holds the interpreter all the while, as a kernel does: no signal handler of Python would run."""
    ctypes.PyDLL(None).usleep(int(seconds * 1e6))
    return seconds


@numba.njit
def _large(count):  # type: ignore[no-untyped-def]
    return np.ones(count).sum()


def grow_in_python(_: str) -> object:
    grown = [b""]
    while True:
        grown.append(grown[-1] + bytes(1 << 20))


GROWTHS: dict[str, Callable[[str], object]] = {
    "at once": lambda _: np.ones(1 << 27),
    "bit by bit": grow_in_python,
    "in small objects": lambda _: [bytes(400) for _ in itertools.count()],
    "in a kernel": lambda _: _large(1 << 27),
    "in a file mapped to memory": lambda _: mmap.mmap(-1, 1 << 30, mmap.MAP_PRIVATE),
    "told by another library": lambda _: (_ for _ in ()).throw(OSError(errno.ENOMEM, "Cannot allocate memory")),
}


def grow(how: str) -> tuple[str, int]:
    if how in GROWTHS:
        GROWTHS[how](how)
    return how, os.getpid()


def restraints(_: object) -> tuple[int, int, str]:
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    return soft, hard, Path("/proc/self/oom_score_adj").read_text().strip()


class Grows:
    """Small to make, and large when it is sent."""

    def __reduce__(self) -> tuple[type, tuple[bytes]]:
        return bytes, (bytes(1 << 30),)


def make_growing(_: object) -> Grows:
    return Grows()


def divide(x: int) -> float:
    return 1 / x


def fill_disk(x: int) -> int:
    raise OSError(errno.ENOSPC, "No space left on device", "/out/a.png")


def interrupt(x: int) -> int:
    os.kill(os.getpid(), signal.SIGINT)
    return x


def loaded(_: object) -> tuple[set[str], bool]:
    from shapecnn.meshes.readers.off import _read_vertices

    return set(sys.modules), bool(_read_vertices.overloads)


def exists(process: int) -> bool:
    try:
        os.kill(process, 0)
        return "State:\tZ" not in Path(f"/proc/{process}/status").read_text()  # a zombie is no process any more
    except (ProcessLookupError, FileNotFoundError):  # it may end between the two questions
        return False


def gone_within(seconds: float, process: int) -> bool:
    end = time.monotonic() + seconds
    while exists(process):
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_every_task_comes_back_once_with_its_result(workers: int) -> None:
    assert sorted(pool.run(double, range(50), Workers(workers))) == [(x, 2 * x) for x in range(50)]


def test_without_a_task_no_process_is_started() -> None:
    assert list(pool.run(double, [], Workers(2))) == []


@pytest.mark.parametrize("limits", [{"timeout": float("nan")}, {"memory": float("nan")}, {"timeout": 0.0}])
def test_a_limit_that_would_limit_nothing_or_all_is_refused(limits: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=f"--{next(iter(limits))} must be a number above 0, not "):
        Workers(**limits)


def test_memory_may_be_unlimited() -> None:
    assert list(pool.run(double, [1], Workers(1, memory=float("inf")))) == [(1, 2)]


def test_an_error_that_is_of_no_task_is_raised() -> None:
    with pytest.raises(MissingLibraryError, match="no open3d"):
        list(pool.run(lack, range(4), Workers(2)))


def test_an_error_for_people_is_a_result() -> None:
    outcomes = dict(pool.run(refuse, range(4), Workers(2)))
    assert (outcomes[0], outcomes[2]) == (0, 2)
    for x in (1, 3):
        error = outcomes[x]
        assert isinstance(error, MeshError)
        assert (error.kind, str(error)) == ("no-faces", f"{x} has no faces")


@pytest.mark.parametrize("how", DEATHS)
def test_a_worker_that_dies_costs_one_task_and_says_how(how: str) -> None:
    outcomes = dict(pool.run(die, ["a", "b", how, "c", "d"], Workers(2)))
    error = outcomes.pop(how)
    assert outcomes == {x: x for x in "abcd"}
    assert isinstance(error, WorkerError)
    assert error.kind == "crashed"
    hint = ", perhaps because the machine ran out of memory: use fewer --workers" if how == "killed" else ""
    assert str(error) == f"the worker process died ({DEATHS[how][1]}){hint}"


def exit_on_odd(x: int) -> int:
    if x % 2:
        os._exit(1)
    return x


def unsendable(_: int) -> Callable[[], None]:
    return lambda: None


def test_a_result_that_cannot_be_sent_costs_its_task_and_says_why() -> None:
    ((_, outcome),) = pool.run(unsendable, [0], Workers(1))
    assert isinstance(outcome, WorkerError)
    message = "an unexpected error occurred in shapecnn (AttributeError: Can't pickle local object 'unsendable"
    assert str(outcome).startswith(message)


def test_never_a_neighbour_is_blamed() -> None:
    for x, outcome in pool.run(exit_on_odd, range(60), Workers(4)):
        assert isinstance(outcome, WorkerError) if x % 2 else outcome == x


def test_a_worker_that_died_while_idle_costs_the_next_task() -> None:
    def tasks() -> Iterator[int]:
        yield 1
        (worker,) = multiprocessing.active_children()
        worker.kill()
        worker.join()
        yield 2
        yield 3

    outcomes = dict(pool.run(double, tasks(), Workers(1)))
    assert (outcomes[1], outcomes[3]) == (2, 6)
    assert isinstance(outcomes[2], WorkerError)


def test_a_worker_that_dies_before_it_takes_its_task_costs_that_task() -> None:
    def tasks() -> Iterator[int]:
        yield 1
        (worker,) = multiprocessing.active_children()
        worker.kill()  # what it was sent is lost, which the pipe tells otherwise than its end
        worker.join()
        yield 2

    outcomes = dict(pool.run(exit_on_odd, tasks(), Workers(2)))
    assert isinstance(outcomes[1], WorkerError)
    assert outcomes[2] == 2


@pytest.mark.parametrize("function", [sleep, sleep_deaf])
def test_a_task_over_its_time_costs_one_task(function: Callable[[float], float]) -> None:
    outcomes = dict(pool.run(function, [0.0, 60.0, 0.01, 0.02], Workers(2, timeout=2.0)))
    error = outcomes.pop(60.0)
    assert outcomes == {x: x for x in (0.0, 0.01, 0.02)}
    assert isinstance(error, WorkerError)
    message = "processing took longer than 2 s: simplify the input, or raise --timeout"
    assert (error.kind, str(error)) == ("timeout", message)


@pytest.mark.parametrize("timeout", [float("inf"), 1e300])
def test_any_time_limit_may_be_given(timeout: float) -> None:
    assert list(pool.run(double, [1], Workers(1, timeout=timeout))) == [(1, 2)]


def test_time_that_the_caller_takes_is_not_the_tasks() -> None:
    for x, outcome in pool.run(double, range(4), Workers(2, timeout=1.5)):
        assert outcome == 2 * x
        if x == 0:
            time.sleep(2.0)  # with the next result waiting


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the memory of a process")
@pytest.mark.parametrize("how", GROWTHS)
def test_a_worker_over_its_memory_costs_one_task_and_is_replaced(how: str) -> None:
    outcomes = dict(pool.run(grow, ["a", how, "b"], Workers(1, memory=0.75)))
    error = outcomes.pop(how)
    assert isinstance(error, WorkerError)
    assert (error.kind, str(error)) == (
        "memory", "processing needs more than 0.75 GB of memory: simplify the input, or raise --memory",
    )  # fmt: skip
    processes = dict(outcome for outcome in outcomes.values() if not isinstance(outcome, ShapecnnError))
    assert set(processes) == {"a", "b"}
    assert processes["a"] != processes["b"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the memory of a process")
def test_memory_too_short_to_send_a_result_is_told_as_such(capfd: pytest.CaptureFixture[str]) -> None:
    ((_, error),) = pool.run(make_growing, [0], Workers(1, memory=0.75))
    assert isinstance(error, WorkerError)
    assert (error.kind, capfd.readouterr().err) == ("memory", "")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the memory of a process")
def test_workers_are_restrained_and_whoever_starts_them_is_not() -> None:
    before = resource.getrlimit(resource.RLIMIT_DATA)
    ((_, outcome),) = pool.run(restraints, [0], Workers(1, memory=0.75))
    assert outcome == (3 << 28, before[1], "1000")
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
    assert Path("/proc/self/oom_score_adj").read_text().strip() != "1000"
    ((_, outcome),) = pool.run(restraints, [0], Workers(1))
    assert not isinstance(outcome, ShapecnnError)
    assert outcome[0] == 2 << 30


def test_a_bug_costs_one_task_and_says_where_it_is() -> None:
    outcomes = dict(pool.run(divide, range(4), Workers(2)))
    error = outcomes.pop(0)
    assert outcomes == {1: 1.0, 2: 0.5, 3: 1 / 3}
    assert isinstance(error, WorkerError)
    line = divide.__code__.co_firstlineno + 1
    what = f"ZeroDivisionError: division by zero; test_pool.py, line {line}"
    message = f"an unexpected error occurred in shapecnn ({what}): please report this bug"
    assert (error.kind, str(error)) == ("crashed", message)


def test_what_stops_every_task_is_raised_and_stops_the_workers() -> None:
    with pytest.raises(OSError, match="No space left") as caught:
        list(pool.run(fill_disk, range(100), Workers(2)))
    assert caught.value.filename == "/out/a.png"
    assert multiprocessing.active_children() == []


def test_an_error_in_the_source_of_tasks_stops_the_workers() -> None:
    def tasks() -> Iterator[int]:
        yield 1
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        list(pool.run(double, tasks(), Workers(2)))
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("workers", [1, 3])
def test_tasks_are_drawn_as_they_are_needed(workers: int) -> None:
    drawn = 0

    def tasks() -> Iterator[int]:
        nonlocal drawn
        while drawn < 100:
            drawn += 1
            yield drawn

    for done, _ in enumerate(pool.run(double, tasks(), Workers(workers))):
        assert drawn - done <= 2 * workers


def test_leaving_early_leaves_no_process() -> None:
    running = pool.run(pid, range(1000), Workers(2))
    workers = {outcome for _, (_, outcome) in zip(range(20), running, strict=False)}
    assert workers
    running.close()
    assert multiprocessing.active_children() == []
    assert not any(isinstance(worker, int) and exists(worker) for worker in workers)


def test_an_interrupt_is_not_for_the_workers() -> None:
    assert sorted(pool.run(interrupt, range(4), Workers(2))) == [(x, x) for x in range(4)]


def test_interrupts_are_let_through_again() -> None:
    code = (
        "import signal, time; from shapecnn.workers import pool; from tests.workers.test_pool import double\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "print(list(pool.run(double, [1], pool.Workers(1))))\n"
        "try:\n"
        "    signal.raise_signal(signal.SIGINT); time.sleep(10)\n"  # early versions of 3.11 raise it a little later
        "except KeyboardInterrupt:\n"
        "    print('interrupted')"
    )  # in a process of its own: an interrupt that went astray would end the worker of xdist
    lines = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=120
    )
    assert (lines.stdout.splitlines(), lines.stderr) == (["[(1, 2)]", "interrupted"], "")


def test_workers_start_with_everything_loaded_and_without_what_has_threads() -> None:
    ((_, outcome),) = pool.run(loaded, [0], Workers(1))
    assert not isinstance(outcome, ShapecnnError)
    modules, compiled = outcome
    assert {
        "shapecnn.artefacts.prepare",
        "shapecnn.views.raster",
        "shapecnn.voxels.kernels",
        "PIL.PngImagePlugin",
    } <= modules
    assert compiled
    assert not {"torch", "openvino", "faiss", "open3d", "pyrender", "trimesh"} & modules


@pytest.mark.parametrize("function", ["note_and_sleep", "note_and_sleep_deaf"])
def test_workers_do_not_outlive_a_killed_parent(function: str, tmp_path: Path) -> None:
    code = (
        "from shapecnn.workers import pool; from shapecnn.workers.pool import Workers\n"
        f"from tests.workers.test_pool import {function}\n"
        f"list(pool.run({function}, [{str(tmp_path / 'a')!r}, {str(tmp_path / 'b')!r}], Workers(2)))"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[2])
    files = [tmp_path / "a", tmp_path / "b"]
    end = time.monotonic() + 60
    while not all(file.exists() and file.read_text() for file in files):
        assert time.monotonic() < end
        assert parent.poll() is None
        time.sleep(0.05)
    processes = [int(number) for file in files for number in file.read_text().split()]
    parent.kill()
    parent.wait()
    assert all(gone_within(10, process) for process in processes)


def note_and_sleep(path: str) -> None:
    Path(path).write_text(f"{os.getpid()} {os.getppid()}")  # the worker and the server it was forked from
    time.sleep(60)


def note_and_sleep_deaf(path: str) -> None:
    Path(path).write_text(f"{os.getpid()} {os.getppid()}")
    sleep_deaf(60)


def test_available_cores_are_those_this_process_may_use() -> None:
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert pool.available_cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)
    assert pool.available_cores() == len(allowed)
