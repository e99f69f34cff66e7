"""Foreign files, links, pipes and code in the folders that a command reads or writes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib import metadata
from pathlib import Path

import numpy as np
from rows import Impossible, Row
from running import Command, require
from subjects import PUBLISHING, Subject, Workshop, contents, remove

from shapecnn.storage.unfinished import MARK, RESUME, STAGED, WORK, WORKS

LETTER = b"dear"
NEVER_OURS = ("notes.txt", ".partial/letter", ".publish/letter", "SHA256SUMS")


def rows(shop: Workshop, kills: int) -> Iterator[Row]:
    """Yield five rows for each command that writes a folder, and one for the commands that only read."""
    tries = max(1, kills // 100)
    for subject in shop.subjects.values():
        yield Row(
            "somebody's file in OUT",
            "one that is called as one of the command's own, drawn, or notes.txt, SHA256SUMS, a file in .partial",
            subject.name,
            "one sentence that names it before any work; it stays as it was",
            [partial(_file, subject)] * 2 * tries,
        )
        yield Row(
            "somebody's change of what is finished",
            "one of the command's own files, drawn, is another file when the command is run again",
            subject.name,
            "one sentence; it stays as it is",
            [partial(_change, shop, subject)] * 2 * tries,
        )
        yield Row(
            "a link or a pipe in OUT",
            "in the place of one of the command's own files or folders, drawn; the link leads to somebody's file",
            subject.name,
            "one sentence that names it, at once; what the link leads to stays as it was",
            [partial(_link, subject), partial(_pipe, subject)] * tries,
        )
        yield Row(
            "a link or a pipe in unfinished work",
            "after a kill: in the place of one of its files, drawn; of the next journal; of what is just committed",
            subject.name,
            "one sentence, or the same bytes as undisturbed, at once; what the link leads to stays as it was",
            [partial(_work, subject, *how) for how in ((_to_pipe, ""), (_to_letter, WORK), (_to_letter, STAGED))]
            * tries,
        )
        yield Row(*_CODE, subject.name, "nothing of it runs", [partial(_code, subject)] * tries)
    yield Row(*_CODE, "query, predict, explain, verify", "nothing of it runs", [partial(_code_read, shop)] * tries)


_CODE = (
    "code in the current folder",
    "a file for each module of Python and of every package that is installed, which says so when it runs, and a "
    ".numba_config.yaml that names a folder for compiled code",
)


def _own(subject: Subject, random: np.random.Generator) -> str:
    """Draw the name of a file that the command would create."""
    there = (
        {path.relative_to(subject.start).as_posix() for path in subject.start.rglob("*")} if subject.start else set()
    )
    return str(random.choice(sorted(subject.whole.keys() - there)))


def _plant(subject: Subject, name: str, make: Callable[[Path], object], folder: Path) -> str:
    """Create something at ``name`` in OUT, run the command, and require an error that names it."""
    out = folder / "out"
    subject.begin(out, earlier=False)
    place = out / name
    place.parent.mkdir(parents=True, exist_ok=True)
    make(place)
    sentence = Command(subject.words(out), out, folder / "scratch").wait().sentence(1, 2)
    require(Path(name).parts[0] in sentence, f"the message does not name {name}: {sentence}")
    require(os.path.lexists(place), f"{name} is gone")
    return "named"


def _file(subject: Subject, random: np.random.Generator, folder: Path) -> str:
    whole = subject.start is None  # a command that adds to an existing folder tolerates other files there
    name = str(random.choice(NEVER_OURS)) if whole and random.random() < 0.5 else _own(subject, random)
    met = _plant(subject, name, lambda place: place.write_bytes(LETTER), folder)
    require((folder / "out" / name).read_bytes() == LETTER, f"{name} has changed")
    return met


def _change(shop: Workshop, subject: Subject, random: np.random.Generator, folder: Path) -> str:
    out, name = folder / "out", _own(subject, random)
    shutil.copytree(shop.made(subject.name), out)
    (out / name).write_bytes(LETTER)
    Command(subject.words(out), out, folder / "scratch").wait().sentence(1, 2)
    require((out / name).read_bytes() == LETTER, f"{name} has changed")
    return "told"


def _to_letter(place: Path) -> None:
    place.symlink_to(place.parents[2] / "letter")


def _to_pipe(place: Path) -> None:
    os.mkfifo(place)


_NEXT = {WORK: "journal.tmp", RESUME: ".publish.tmp"}
"""File that the next command creates in each of these folders."""

_WAYS = ((_to_pipe, ""), (_to_letter, WORK), (_to_letter, STAGED))
"""What is planted, and in which folder of unfinished work; empty: in any of them."""


def _link(subject: Subject, random: np.random.Generator, folder: Path) -> str:
    letter = folder / "letter"
    letter.write_bytes(LETTER)
    met = _plant(subject, _own(subject, random), lambda place: place.symlink_to(letter), folder)
    require(letter.read_bytes() == LETTER, "the command wrote through the link")
    return met


def _pipe(subject: Subject, random: np.random.Generator, folder: Path) -> str:
    return _plant(subject, _own(subject, random), _to_pipe, folder)


def _work(
    subject: Subject, plant: Callable[[Path], None], where: str, random: np.random.Generator, folder: Path
) -> str:
    out, scratch = folder / "out", folder / "scratch"
    (folder / "letter").write_bytes(LETTER)
    place = _killed(subject, where, random, out, scratch)
    remove(place)
    plant(place)
    ended = Command([*subject.words(out), *subject.again], out, scratch).wait()
    if ended.status == 0:
        subject.require_whole(out)
    else:
        ended.sentence(1, 2)
    require((folder / "letter").read_bytes() == LETTER, "the command wrote through the link")
    strange = sorted(path.name for path in out.iterdir() if path.is_symlink() or path.is_fifo())
    require(not strange, f"links or pipes in OUT: {strange}")
    return "told" if ended.status else "not used"


def _killed(subject: Subject, where: str, random: np.random.Generator, out: Path, scratch: Path) -> Path:
    """Kill a command and return the path of a file in its unfinished work."""
    for _ in range(20):
        remove(out)
        subject.begin(out)
        if where == STAGED:
            since, at = PUBLISHING, subject.commit + 1
        else:
            since, at = "", 1 + int(random.integers(subject.changes))
        Command(subject.words(out), out, scratch, since=since, at=at, number=signal.SIGKILL).wait()
        for work in [out / name for name in WORKS if (out / name).is_dir()]:
            if where == WORK and work.name in _NEXT:
                return work / _NEXT[work.name]
            files = sorted(path for path in work.iterdir() if path.name != MARK or not where)
            if files and where == STAGED == work.name:
                return files[-1]
            if files and not where:
                return files[int(random.integers(len(files)))]
    raise Impossible("it leaves no such work")


def _code(subject: Subject, _: np.random.Generator, folder: Path) -> str:
    out = folder / "out"
    subject.begin(out, earlier=False)
    _run_among_code(subject.words(out), folder)
    subject.require_whole(out)
    return "not run"


def _code_read(shop: Workshop, _: np.random.Generator, folder: Path) -> str:
    mesh, run, index = str(min(shop.meshes.rglob("*.off"))), str(shop.made("metric")), str(shop.made("index"))
    page = ("--html", str(folder / "page.html"))
    for words in (["query", index, mesh], ["predict", run, mesh], ["explain", run, mesh, *page], ["verify", index]):
        _run_among_code([*words, "--json"], folder)
        remove(folder / "page.html")
    return "not run"


def _run_among_code(words: list[str], folder: Path) -> None:
    """Run a command, which must succeed, in a folder full of modules that report when they are imported."""
    here, ran = folder / "here", folder / "ran"
    here.mkdir(exist_ok=True)
    installed = {name for name in metadata.packages_distributions() if name.isidentifier()}
    for name in sys.stdlib_module_names | installed | {"sitecustomize", "usercustomize"}:
        (here / f"{name}.py").write_text(f"open({str(ran)!r}, 'a').write({name + ' '!r})\n")
    (here / ".numba_config.yaml").write_text(f"cache_dir: {folder / 'compiled'}\n")
    script = Path(sys.executable).with_name("shapecnn")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.run(
        [str(script), *words], cwd=here, env=environment, capture_output=True, text=True, check=False
    )
    require(not ran.exists(), f"code in the current folder ran: {ran.read_text()[:200] if ran.exists() else ''}")
    require(not (folder / "compiled").exists(), "the folder for compiled code was used")
    require(process.returncode == 0, f"it ended with {process.returncode}: {process.stderr[-300:]!r}")
    left = contents(here).keys() - {f"{name}.py" for name in sys.stdlib_module_names | installed}
    require(left <= {".numba_config.yaml", "sitecustomize.py", "usercustomize.py"}, f"it left {sorted(left)}")
