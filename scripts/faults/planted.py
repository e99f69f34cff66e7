"""What somebody else put where a command reads or writes: files, links, pipes, code, names."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from processes import Command, require
from rows import Row
from subjects import Subject, Workshop

LETTER = b"dear"
NEVER_OURS = ("notes.txt", ".partial/letter", ".publish/letter", "SHA256SUMS")


def rows(shop: Workshop, kills: int) -> Iterator[Row]:
    """Rows for each command that writes a folder, then for names and code."""
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
            "a link or a pipe in OUT",
            "in the place of one of the command's own files or folders, drawn; the link leads to somebody's file",
            subject.name,
            "one sentence that names it, at once; what the link leads to stays as it was",
            [partial(_link, subject), partial(_pipe, subject)] * tries,
        )
    for fault, how, act in (
        ("code in the current folder", "random.py, numpy.py and sitecustomize.py, which say so when they run", _code),
        (
            "names that collide",
            "a.off beside a folder a.png; classes called manifest.parquet and settings.json",
            _collide,
        ),
        (
            "names that forge",
            "a line end, an escape sequence and a directional mark in names; one begins with =",
            _forge,
        ),
    ):
        expected = (
            "nothing of it runs" if act is _code else "one sentence, or healthy meshes are drawn; no line is forged"
        )
        yield Row(fault, how, "render", expected, [partial(act, shop)] * tries)


def _own(subject: Subject, random: np.random.Generator) -> str:
    """The name of a file that the command would write and that is not there before."""
    there = (
        {path.relative_to(subject.start).as_posix() for path in subject.start.rglob("*")} if subject.start else set()
    )
    return str(random.choice(sorted(subject.whole.keys() - there)))


def _plant(subject: Subject, name: str, make: Callable[[Path], object], folder: Path) -> str:
    """What the command says of it."""
    out = folder / "out"
    subject.begin(out, earlier=False)
    place = out / name
    place.parent.mkdir(parents=True, exist_ok=True)
    make(place)
    sentence = Command(subject.words(out), out, folder / "scratch").wait().sentence(1, 2)
    require(Path(name).parts[0] in sentence, f"{name} is not named: {sentence}")
    require(os.path.lexists(place), f"{name} is gone")
    return sentence


def _file(subject: Subject, random: np.random.Generator, folder: Path) -> str:
    whole = subject.start is None  # else only what it writes can be in the way
    name = str(random.choice(NEVER_OURS)) if whole and random.random() < 0.5 else _own(subject, random)
    _plant(subject, name, lambda place: place.write_bytes(LETTER), folder)
    require((folder / "out" / name).read_bytes() == LETTER, f"{name} is not what it was")
    return "named"


def _link(subject: Subject, random: np.random.Generator, folder: Path) -> str:
    letter = folder / "letter"
    letter.write_bytes(LETTER)
    _plant(subject, _own(subject, random), lambda place: place.symlink_to(letter), folder)
    require(letter.read_bytes() == LETTER, "it was written through")
    return "named"


def _pipe(subject: Subject, random: np.random.Generator, folder: Path) -> str:
    _plant(subject, _own(subject, random), os.mkfifo, folder)
    return "named"


def _code(shop: Workshop, _: np.random.Generator, folder: Path) -> str:
    here = folder / "here"
    here.mkdir()
    for name in ("random", "numpy", "sitecustomize"):
        (here / f"{name}.py").write_text(f"open({str(folder / 'ran')!r}, 'w').close()\n")
    script = Path(sys.executable).with_name("shapecnn")
    words = [str(script), "render", str(shop.meshes), str(folder / "out"), "--size", "32", "--workers", "2", "--json"]
    done = subprocess.run(words, cwd=here, capture_output=True, text=True, check=False)
    require(not (folder / "ran").exists(), "code in the current folder ran")
    require(done.returncode == 0, f"it ended with {done.returncode}: {done.stderr[-300:]!r}")
    return "not run"


def _collide(shop: Workshop, random: np.random.Generator, folder: Path) -> str:
    mesh, meshes = min(shop.meshes.rglob("*.off")), folder / "meshes"
    names = (("c/a.off", "c/a.png/b.off"), ("manifest.parquet/a.off", "c/b.off"), ("settings.json/a.off", "c/b.off"))
    for name in names[int(random.integers(len(names)))]:
        (meshes / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(mesh, meshes / name)
    out = folder / "out"
    Command(["render", str(meshes), str(out), "--size", "32"], out, folder / "scratch").wait().sentence(2)
    return "told"


def _forge(_shop: Workshop, _: np.random.Generator, folder: Path) -> str:
    meshes, out, listed = folder / "meshes", folder / "out", folder / "failed.csv"
    meshes.mkdir()
    for name in ("a\nError: forged.off", "b\x1b[2J.off", "c\u202eoff.off", "=1+1.off"):
        (meshes / name).touch()
    words = ["render", str(meshes), str(out), "--size", "32", "--failures", str(listed)]
    ended = Command(words, out, folder / "scratch").wait()
    require(ended.status in (1, 2), f"it ended with {ended.status}")
    said = ended.stdout + ended.stderr
    require("\nError: forged" not in said and "\x1b" not in said and "\u202e" not in said, f"forged: {said!r}")
    cells = listed.read_text() if listed.exists() else ""
    require("\n=" not in cells and "\x1b" not in cells, f"a cell is a formula: {cells!r}")
    return "shown escaped"
