"""All commands: help, exit statuses, JSON for errors, and lazy imports."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import pytest
from jsonschema import Draft202012Validator

import shapecnn
from shapecnn import errors
from shapecnn.cli.main import COMMANDS, cli
from shapecnn.cli.process import ending_in_order
from tests.cli.conftest import SCHEMAS, Command
from tests.conftest import ROOT
from tests.solids import write_box

SCRIPT = "from shapecnn.cli.main import run; run()"


def subcommands(command: click.Command, *names: str) -> list[tuple[str, ...]]:
    """Yield the names that lead to each command below ``command``."""
    if not isinstance(command, click.Group):
        return [names]
    found = []
    with click.Context(command) as context:
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            found += subcommands(child, *names, name)
    return found


ALL = subcommands(cli)


def test_help_names_every_command_and_shows_an_example(command: Command) -> None:
    done = command("--help")
    assert done.status == 0
    assert "Example" in done.stdout
    for name, (_, line) in COMMANDS.items():
        assert f"  {name} " in done.stdout
        assert line in done.stdout


@pytest.mark.parametrize("text", ["x", "0"])
def test_a_number_of_processes_that_is_none_is_a_sentence(
    text: str, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", text)
    done = command("info", "x")
    assert done.status == 2
    assert done.stderr.startswith(f"Error: The environment variable WORLD_SIZE is '{text}', not a number of processes")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("names", ALL, ids=" ".join)
def test_every_command_has_help_with_an_example_of_itself(names: tuple[str, ...], command: Command) -> None:
    done = command(*names, "--help")
    assert done.status == 0
    assert done.stdout == command(*names, "-h").stdout
    _, _, example = done.stdout.partition("Example")
    assert f"  shapecnn {' '.join(names)}" in example
    assert "--json" in done.stdout


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["render", "--help"], ["predict", "--help"], ["explain", "--help"]]
)
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    code = f"import sys; sys.argv[1:] = {arguments}\ntry:\n  {SCRIPT}\nfinally:\n  print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"numpy", "numba", "torch", "trimesh", "pydantic", "pyarrow", "PIL", "multiprocessing", "rich.progress"}
    assert "shapecnn.cli.main" in done.stderr.split()
    assert not heavy & set(done.stderr.split())


def test_python_m_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "shapecnn", "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"shapecnn, version {shapecnn.__version__}\n")
    done = subprocess.run([sys.executable, "-m", "shapecnn", "nothing"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")


def test_nothing_stays_where_temporary_files_are_made(tmp_path: Path) -> None:
    """One of them removes the folder of the socket of the worker server."""
    write_box(tmp_path / "meshes" / "box.off")
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        for command in ("render", "voxelize"):
            _use_tempdir(command, tmp_path, folder)
            assert os.listdir(folder) == []


def test_temporary_files_may_have_a_long_path(tmp_path: Path) -> None:
    """The path of a socket may not be as long."""
    write_box(tmp_path / "meshes" / "box.off")
    long = tmp_path / ("long" * 30)
    long.mkdir()
    _use_tempdir("voxelize", tmp_path, str(long))
    assert [*long.iterdir()] == []


def _use_tempdir(command: str, folder: Path, tempdir: str) -> None:
    words = [sys.executable, "-m", "shapecnn", command, folder / "meshes", folder / command, "--workers", "1"]
    subprocess.run(words, env={**os.environ, "TMPDIR": tempdir}, check=True)


def test_the_end_waits_for_no_thread() -> None:
    """Native libraries have such threads, which still run when an error ends a command."""
    code = """import sys, threading, time
threading.Thread(target=time.sleep, args=(60,)).start()
sys.argv[1:] = ["--version"]
from shapecnn.cli.main import main
main()"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stdout) == (0, f"shapecnn, version {shapecnn.__version__}\n")


def test_the_installed_script_is_the_command() -> None:
    script = Path(sys.executable).with_name("shapecnn")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"shapecnn, version {shapecnn.__version__}\n")


def test_without_a_command_there_is_help_and_status_2(command: Command) -> None:
    done = command()
    assert (done.status, done.stdout) == (2, "")
    assert "Commands:" in done.stderr


def test_an_unknown_command_is_met_with_the_nearest(command: Command) -> None:
    done = command("redner", "a", "b")
    assert (done.status, done.stdout) == (2, "")
    assert done.stderr.count("No such command 'redner'. Did you mean 'render'?") == 1
    assert "Did you mean" not in command("xyzzy").stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["render"], "Missing argument 'COLLECTION'"),
        (["render", "here"], "Missing argument 'OUT'"),
        (["render", "here", "out", "more"], "Got unexpected extra argument (more)"),
        (["render", "here", "out", "--colour", "red"], "No such option"),
        (["render", "nowhere", "out"], "There is no collection at nowhere."),
        (["render", "here", "here/a.off"], "is a file"),
        (["render", "here/a.off", "out"], "here/a.off is not a collection"),
        (["render", "empty", "out"], "empty holds no mesh files"),
        (["render", "here", "out", "--size", "4"], "size = 4"),
        (["render", "here", "out", "--size", "big"], "'big' is not a valid integer"),
        (["render", "here", "out", "--samples", "0"], "samples = 0"),
        (["render", "here", "out", "--views", "0"], "0 is not in the range"),
        (["render", "here", "out", "--up", "w"], "'w' is not one of"),
        (["render", "here", "out", "--workers", "0"], "--workers"),
        (["render", "here", "out", "--timeout", "0"], "--timeout"),
        (["voxelize", "here", "out", "--resolution", "6"], "resolution 6 leaves no cell inside a padding of 3"),
        (["voxelize", "here", "out", "--resolution", "4096"], "resolution = 4096"),
        (["voxelize", "here", "out", "--padding", "-1"], "padding = -1"),
        (["voxelize", "here", "out", "--rotations", "0"], "rotations = 0"),
        (["voxelize", "here", "out", "--fill", "half"], "'half' is not one of 'solid', 'surface'"),
    ],
)
def test_a_bad_request_has_status_2_and_touches_nothing(
    arguments: list[str], message: str, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_box(tmp_path / "here" / "a.off")
    (tmp_path / "empty").mkdir()
    done = command(*arguments)
    assert (done.status, done.stdout) == (2, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "here"]

    error = command(*arguments, "--json").json("error")["error"]
    assert error["kind"] in ("usage", "collection")
    assert message in error["message"]


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (errors.UsageError("no"), 2, "usage"),
        (errors.CollectionError("no"), 2, "collection"),
        (errors.MismatchError("no"), 2, "mismatch"),
        (errors.MeshError("no-faces", "no"), 1, "no-faces"),
        (errors.WorkerError("crashed", "no"), 1, "crashed"),
        (errors.StoredDataError("no"), 1, "stored-data"),
        (errors.BusyError("no"), 1, "busy"),
        (click.UsageError("no"), 2, "usage"),
        (OSError(28, "No space left on device", "/full"), 1, "system"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_errors_and_their_statuses(
    error: BaseException, status: int, kind: str, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(cli, "invoke", fail)
    done = command("render", "a", "b")
    assert (done.status, done.stdout) == (status, "")
    assert done.stderr.strip()
    answer = command("render", "a", "b", "--json").json("error")
    assert answer["error"]["kind"] == kind


def test_a_bug_is_not_hidden(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(cli, "invoke", fail)
    with pytest.raises(ZeroDivisionError):
        command("render", "a", "b")


@pytest.mark.parametrize("arguments", [["--help"], ["render", "--json"]])
def test_a_reader_who_leaves_is_no_error_to_speak_of(arguments: list[str], tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments], stdout=writer, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )
    os.close(writer)
    assert done.returncode in {1, 2}  # 2: the usage error, if its JSON was lost without a word
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


@pytest.mark.parametrize("path", sorted(SCHEMAS.glob("*.json")), ids=lambda path: path.name)
def test_schemas_are_schemas_and_strict(path: Path) -> None:
    schema = json.loads(path.read_text())
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["title"].startswith(("shapecnn ", "any shapecnn "))


PROGRAM = [sys.executable, "-m", "shapecnn"]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_a_signal_ends_a_command_in_order(tmp_path: Path, solids: Path, number: signal.Signals, status: int) -> None:
    for copy in range(60):
        shutil.copytree(solids, tmp_path / "meshes" / str(copy))
    (scratch := tmp_path / "t").mkdir()
    words = ["render", tmp_path / "meshes", tmp_path / "out", "--workers", "1", "--json", "--size", "512"]
    process = subprocess.Popen(
        [*PROGRAM, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(scratch), "PYTHONPATH": str(ROOT)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    while not list((tmp_path / "out").glob("**/*.png")):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == status
    assert "Interrupted" in err
    assert json.loads(out)["error"]["kind"] == "interrupted"
    assert list(scratch.iterdir()) == []


def test_ignored_signals_stay_ignored() -> None:
    former = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ending_in_order():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) not in (signal.SIG_DFL, signal.SIG_IGN)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, former)


def by_bash(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", line],
        capture_output=True,
        text=True,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False,
    )


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(("words", "status"), [("--version", 0), ("--help", 0), ("render nowhere out", 2)])
def test_closed_streams_change_only_the_output(closed: str, words: str, status: int, tmp_path: Path) -> None:
    line = f'"{sys.executable}" -m shapecnn {words} {closed}'
    done = by_bash(line, tmp_path)
    assert (done.returncode, "Traceback" in done.stderr) == (status, False)
    assert list(tmp_path.iterdir()) == []


def test_a_current_folder_that_is_gone_is_named(tmp_path: Path, solids: Path) -> None:
    (gone := tmp_path / "gone").mkdir()
    line = f'rmdir "{gone}"; exec "{sys.executable}" -m shapecnn render "{solids}" "{tmp_path / "out"}"'
    done = by_bash(line, gone)
    assert done.returncode == 2
    assert (
        "Error: The current folder cannot be used (No such file or directory): cd to a folder that exists."
        in done.stderr
    )


@pytest.mark.skipif(sys.platform != "linux", reason="ulimit -v is of Linux")
def test_too_little_memory_to_load_a_library_is_reported(tmp_path: Path) -> None:
    line = f'ulimit -v 1500000; exec "{sys.executable}" -m shapecnn train mvcnn-psb --data views --out run'
    done = by_bash(line, tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: There is not enough memory. Close other programs or raise the limit")


@pytest.mark.parametrize("error", [RuntimeError("a bug"), ImportError("no module of that name")])
def test_a_bug_is_not_reported_as_lack_of_memory(
    error: Exception, command: Command, monkeypatch: pytest.MonkeyPatch, solids: Path
) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise error

    monkeypatch.setattr("shapecnn.api.artefacts.prepare_collection", fail)
    with pytest.raises(type(error)):
        command("render", solids, "out")


@pytest.mark.parametrize(
    ("error", "told", "status"),
    [
        (EOFError(), "Error: A file or a process ended early.", 1),
        (MemoryError(), "Error: There is not enough memory.", 1),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "Error: There is not enough memory.", 1),
        (ImportError("libtorch.so: failed to map segment from shared object"), "Error: There is not enough memory", 1),
        (
            RuntimeError("Exception from plugin.cpp:54:\nstd::bad_alloc\n"),
            "Error: There is not enough memory.",
            1,
        ),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "Error: There is not enough memory", 1),
        (KeyboardInterrupt(), "Interrupted. Finished work is kept", 130),
    ],
)
def test_each_error_has_its_message_and_status(
    error: BaseException, told: str, status: int, command: Command, monkeypatch: pytest.MonkeyPatch, solids: Path
) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise error

    monkeypatch.setattr("shapecnn.api.artefacts.prepare_collection", fail)
    done = command("render", solids, "out")
    assert done.status == status
    assert told in done.stderr


def test_an_answer_that_cannot_be_written_is_reported() -> None:
    with open("/dev/full", "w") as full:
        words = [sys.executable, "-P", "-m", "shapecnn", "configs", "--json"]
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        "Error: the result could not be written to stdout (No space left on device). Solve the problem, such as a full "
        "disk, and run the command again.\n"
    )
