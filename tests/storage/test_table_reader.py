"""The process that parses tables: it may crash, hang or grow, and costs a ValueError; the next table is read."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from shapecnn.errors import ProcessError
from shapecnn.storage import table_process, table_reader
from shapecnn.storage.tables import read_table, table_bytes


@dataclass(frozen=True)
class Row:
    name: str


@dataclass(frozen=True)
class Shape:
    id: str
    label: str | None
    split: str | None
    sha256: str
    path: str


CRASHED = "pyarrow crashed while parsing the table"
ROWS = [Row("a"), Row("b")]
DATA = table_bytes(Row, ROWS)


@pytest.fixture
def anew() -> Iterator[None]:
    """The next table starts a process, and no later test uses it."""
    table_reader._stop()
    yield
    table_reader._stop()


def refused(data: bytes = DATA) -> str:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is what is asked for
        read_table(Row, data)
    return str(caught.value)


def process() -> int:
    table_reader.start_reader()
    assert table_reader._reader is not None
    return table_reader._reader._process.pid


def test_one_process_reads_every_table() -> None:
    first = process()
    assert read_table(Row, DATA) == read_table(Row, DATA) == ROWS
    refused(DATA[:-1])
    assert process() == first


def test_this_process_loads_no_pyarrow() -> None:
    script = (
        "import sys; from dataclasses import make_dataclass; from shapecnn.storage.tables import read_table\n"
        f"print(read_table(make_dataclass('Row', [('name', str)]), {DATA!r}), 'pyarrow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("[Row(name='a'), Row(name='b')] False\n", "")


@pytest.mark.usefixtures("anew")
@pytest.mark.parametrize("count", [1_000, 5_000, 20_000])
def test_a_table_is_read_within_the_limit_of_memory_whatever_its_size(count: int) -> None:
    """The allocator that pyarrow prefers reserves 1 GiB when it first needs more than some megabytes."""
    rows = [
        Shape(f"class{number % 50}/{number:06}.off", f"class{number % 50}", None, digest, f"/meshes/{number:06}.off")
        for number, digest in enumerate(hashlib.sha256(str(i).encode()).hexdigest() for i in range(count))
    ]
    assert read_table(Shape, table_bytes(Shape, rows)) == rows


def test_a_table_that_crashes_pyarrow_is_refused_and_the_next_one_read(capfd: pytest.CaptureFixture[str]) -> None:
    outcomes = {refused_or_read(DATA[:at] + bytes([DATA[at] ^ 8]) + DATA[at + 1 :]) for at in range(len(DATA))}
    assert CRASHED in outcomes
    assert read_table(Row, DATA) == ROWS
    assert capfd.readouterr() == ("", "")


def refused_or_read(data: bytes) -> str:
    try:
        read_table(Row, data)
    except ValueError as error:
        return str(error)
    return ""


def test_a_table_that_takes_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    table_reader.start_reader()
    with monkeypatch.context() as patch:
        patch.setattr(table_reader, "_SECONDS", 0)
        data = table_bytes(Row, [Row(str(k)) for k in range(100_000)])
        assert refused(data) == "parsing the table takes longer than 0 s"
    assert read_table(Row, DATA) == ROWS


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the memory")
def test_a_table_that_takes_too_much_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = table_bytes(Row, [Row("x" * 1000 + str(k)) for k in range(200_000)])
    with monkeypatch.context() as patch:
        patch.setattr(table_reader, "_MEMORY", 200 << 20)
        patch.setattr(table_reader, "_GROWTH", 0)
        assert refused(data) in ("the table needs more memory than its file size justifies", CRASHED)
    assert len(read_table(Row, data)) == 200_000


# --- what is no fault of the table ---


def test_a_process_that_was_killed_is_replaced() -> None:
    os.kill(process(), signal.SIGKILL)
    assert table_reader._reader is not None
    table_reader._reader._process.wait()
    assert read_table(Row, DATA) == ROWS


@pytest.mark.usefixtures("anew")
@pytest.mark.parametrize(
    ("program", "message"),
    [
        (
            "import sys; sys.exit(3)",
            r"does not start: it ended with exit code 3\. Free memory, or reinstall shapecnn\.$",
        ),
        ("print('\"no pyarrow\"')", r"does not start: no pyarrow\. "),
        (
            "import os; print('null', flush=True); input(); os.kill(os.getpid(), 9)",
            "was killed, perhaps",
        ),
    ],
)
def test_a_process_that_does_not_work_is_not_blamed_on_the_table(
    program: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "program.py").write_text(program)
    with monkeypatch.context() as patch:
        patch.setattr(table_process, "__file__", str(tmp_path / "program.py"))
        with pytest.raises(ProcessError, match=message):
            read_table(Row, DATA)
    assert read_table(Row, DATA) == ROWS


@pytest.mark.usefixtures("anew")
def test_a_system_that_starts_no_process_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(ProcessError, match=r"cannot start \(No such file or directory\)\. Close other programs"):
        read_table(Row, DATA)


@pytest.mark.usefixtures("anew")
def test_nothing_in_the_current_folder_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pyarrow", "json", "contextlib", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'run')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    assert read_table(Row, DATA) == ROWS
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_fork_has_a_process_of_its_own() -> None:
    script = (
        "import os, sys, warnings; from tests.storage.test_table_reader import *\n"
        "warnings.simplefilter('ignore')\n"
        "first = process()\n"
        "child = os.fork()\n"
        "assert read_table(Row, DATA) == ROWS\n"
        "if not child:\n"
        "    os._exit(int(process() == first))\n"
        "assert os.waitpid(child, 0)[1] == 0 and process() == first\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_the_process_ends_with_its_parent() -> None:
    script = "import os; from tests.storage.test_table_reader import process; print(process(), flush=True); os._exit(0)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    deadline = time.monotonic() + 30
    while _runs(int(done.stdout)):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _runs(pid: int) -> bool:
    """Whether there is such a process; one that ended may wait for init to notice."""
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"
