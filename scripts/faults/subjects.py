"""Commands under test, on small inputs, with the output of their undisturbed runs."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet
import yaml
from running import Command, Ended, require

from shapecnn.sources.shapes import write_collection
from shapecnn.storage.checksums import SUMS
from shapecnn.storage.journal import read_journal
from shapecnn.storage.publishing import published
from shapecnn.storage.unfinished import STAGED, WORK

_TIMED = (
    b"  model.json",
    b"  metrics.jsonl",
    b"  metric.json",
)  # hold the duration of a training or of learning a metric

LOCKED, PUBLISHING = "/.lock", "/.publish.tmp"  # first change under the lock, and first of a publication

Check = Callable[[Ended], None]
"""Function that raises a Fault if the resumed command repeated finished work."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Command that writes OUT.

    Attributes:
        name: Name of the command in the table.
        kept: Function that records the finished work in OUT and returns a check that the next run keeps it.
        whole: Comparable content of OUT after an undisturbed run, by relative path.
        seconds: Duration of the undisturbed run.
        changes: Number of its changes of files.
        publishing: Number of those changes that publish; the last ones.
        commit: Number of the change that commits, counted from the first that publishes.
        start: Folder that OUT must be a copy of at the start; None: OUT does not exist.
        earlier: Folder that OUT may be a copy of: output of a run on fewer inputs; None: there is none.
        again: Arguments to add to continue.
    """

    name: str
    _words: tuple[str, ...]
    kept: Callable[[Path], Check]
    whole: dict[str, bytes]
    seconds: float
    changes: int
    publishing: int
    commit: int
    start: Path | None = None
    earlier: Path | None = None
    again: tuple[str, ...] = ()

    def words(self, out: Path) -> list[str]:
        return _filled(self._words, out)

    def begin(self, out: Path, *, earlier: bool = True) -> Path | None:
        """Create ``out`` as a copy of ``earlier`` or ``start``, and return the folder copied, if any."""
        source = (self.earlier if earlier else None) or self.start
        if source is not None:
            shutil.copytree(source, out)
        return source

    def on(self, source: Path, copy: Path, undisturbed: Path, scratch: Path) -> Subject:
        """Return the same command on a copy of its input, after an undisturbed run on that copy."""
        moved = replace(self, _words=tuple(word.replace(str(source), str(copy)) for word in self._words), earlier=None)
        moved.begin(undisturbed)
        Command(moved.words(undisturbed), undisturbed, scratch).wait().answer()
        return replace(moved, whole=contents(undisturbed))

    def go_on(self, out: Path, scratch: Path) -> Ended:
        """Run the command to its end after a fault, and require the output of an undisturbed run."""
        check = self.kept(out)
        ended = Command([*self.words(out), *self.again], out, scratch).wait()
        ended.answer()
        check(ended)
        self.require_whole(out)
        return ended

    def require_whole(self, out: Path) -> None:
        """Raise a Fault unless ``out`` holds the same files with the same bytes as after an undisturbed run."""
        files = contents(out)
        differences = sorted(name for name in files | self.whole if files.get(name) != self.whole.get(name))
        shown = ", ".join(differences[:4])
        require(not differences, f"{len(differences)} files differ from those of an undisturbed run: {shown}")

    def require_intact(self, out: Path, source: Path | None) -> None:
        """Raise a Fault unless ``out`` has every file of ``source`` in its old or final version, unmixed."""
        old = []
        for name, before in (contents(source) if source else {}).items():
            path, after = published(out, name), self.whole.get(name)
            now = comparable(path) if path.exists() else None
            require(now in (before, after), f"{name} has neither its old nor its final content")
            old += [now == before] * (before != after)
        require(all(old) or not any(old), "some files are old and some are new")


def contents(folder: Path) -> dict[str, bytes]:
    """Return the comparable content of all files except locks, by relative path."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {path.relative_to(folder).as_posix(): comparable(path) for path in files}


def comparable(path: Path) -> bytes:
    """Return the bytes of a file without durations, which differ between runs, and without the hashes of those."""
    data = path.read_bytes()
    if path.name == SUMS:
        lines = data.splitlines()[1:]  # the first line is a hash of the others
        return b"\n".join(line for line in lines if not line.endswith(_TIMED))
    if f"  {path.name}".encode() not in _TIMED:
        return data
    if path.suffix == ".jsonl":
        return json.dumps([_without_seconds(json.loads(line)) for line in data.splitlines()]).encode()
    return json.dumps({**_without_seconds(json.loads(data)), "hash": None}).encode()


def _without_seconds(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_seconds(inner) for key, inner in value.items() if key != "seconds"}
    return [_without_seconds(inner) for inner in value] if isinstance(value, list) else value


# Checks that finished work is not repeated


def _artefacts(out: Path) -> Check:
    """Check that finished artefacts are skipped, except two per worker, which may not have been recorded."""
    finished = max(0, sum(path.suffix in (".png", ".binvox") for path in out.rglob("*")) - 4)

    def check(ended: Ended) -> None:
        kept = ended.answer()["skipped"]
        require(kept >= finished, f"{finished} artefacts were finished, but only {kept} were kept")

    return check


def _features(out: Path) -> Check:
    before = _journal_ids(out / WORK)
    finished = _published_ids(out, "shapes.parquet").union(before)

    def check(ended: Ended) -> None:
        added = _journal_ids(ended.log.with_name(ended.log.name + ".removed"))[len(before) :]
        again = finished.intersection(added)
        require(not again and len(set(added)) == len(added), f"features were computed again: {sorted(again)[:3]}")

    return check


def _epochs(out: Path) -> Check:
    finished = published(out, "model.json").exists()
    metrics = out / "metrics.jsonl"
    lines = metrics.read_text().splitlines() if metrics.exists() else []
    epochs = sum("epoch" in json.loads(line) for line in lines)
    sums = published(out / "resume", SUMS)  # hashes of the finished files
    activations = set(re.findall(r"(activations-\w+)\.npy$", sums.read_text() if sums.exists() else "", re.MULTILINE))

    def check(ended: Ended) -> None:
        epochs_seen = [int(number) for number in re.findall(r"epoch (\d+) of", ended.stderr)]
        again = [number for number in epochs_seen if finished or number <= epochs]
        require(not again, f"{epochs} epochs were finished, but these were trained again: {again}")
        written = set(re.findall(r"open /resume/(activations-\w+)\.partial", ended.log.read_text()))
        require(not written & activations and not (finished and written), "activations were computed again")

    return check


def _metric(out: Path) -> Check:
    finished = published(out, "metric.json").exists()

    def check(ended: Ended) -> None:
        require(ended.answer()["anew"] != finished, "the metric was finished, but was learned again")

    return check


def _report(_: Path) -> Check:
    return lambda _: None  # an evaluation has no intermediate results


def _journal_ids(folder: Path) -> list[str]:
    return [record["id"] for record in read_journal(folder)[1]]


def _published_ids(out: Path, table: str) -> set[str]:
    path = published(out, table)
    if not path.exists():
        return set()
    rows = pyarrow.parquet.read_table(path).to_pylist()
    return {row["id"] for row in rows if row.get("status", "ok") == "ok"}


# Inputs and undisturbed runs

_NETWORKS = {
    "train by gradients": {
        "network": {"kind": "voxresnet", "width": 4},
        "stages": [{"name": "grids", "kind": "gradient", "epochs": 4, "batch": 16, "learning_rate": 1e-3}],
    },
    "train in closed form": {
        "network": {"kind": "mvcnn", "backbone": "test_efficientnet", "weights": "none"},
        "stages": [{"name": "classifier", "kind": "lda"}],
    },
}


@dataclass(frozen=True, slots=True)
class Workshop:
    """Inputs of all commands, with the output of undisturbed runs; ``subjects`` are the commands by name."""

    folder: Path
    subjects: dict[str, Subject]

    @property
    def meshes(self) -> Path:
        """Collection of 64 meshes."""
        return self.folder / "meshes"

    def made(self, name: str) -> Path:
        """Return the output folder of the undisturbed run of a command."""
        return self.folder / "whole" / name


def open_workshop(folder: Path) -> Workshop:
    """Generate the inputs, and run every command once undisturbed, each after those that it depends on."""
    shop = Workshop(folder, {})
    meshes = shop.meshes
    write_collection(meshes, per_class=4)
    for source in sorted(meshes.rglob("*.off"))[::2]:
        target = folder / "half" / "meshes" / source.relative_to(meshes)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    for name, network in _NETWORKS.items():
        text = yaml.safe_dump({**network, "validation": {"folds": 3}, "precision": "float32"})
        (folder / f"{name}.yaml").write_text(text)

    scratch = folder / "scratch"

    def add(
        name: str,
        kept: Callable[[Path], Check],
        *words: str,
        former: tuple[str, ...] = (),
        start: Path | None = None,
        again: tuple[str, ...] = (),
    ) -> None:
        """Add a command; ``former`` is the command line on fewer inputs, which makes its ``earlier`` folder."""
        earlier = folder / "half" / name if former else None
        if earlier is not None:
            Command(_filled(former, earlier), earlier, scratch).wait().answer()
        out = shop.made(name)
        if start is not None:
            shutil.copytree(start, out)
        ended = Command(_filled(words, out), out, scratch).wait()
        ended.answer()
        log = ended.log.read_text().splitlines()
        first = next(k for k, line in enumerate(log) if f" {PUBLISHING}" in line)
        commit = log.index(f"os.rename /{STAGED}") + 1 - first
        figures = ended.seconds, len(log), len(log) - first, commit
        shop.subjects[name] = Subject(name, words, kept, contents(out), *figures, start, earlier, again)

    half, common = str(folder / "half" / "meshes"), ("--workers", "2", "--json")
    for name, *options in (("render", "--size", "32"), ("voxelize", "--resolution", "16", "--padding", "1")):
        ending = ("OUT", *options, *common)
        add(name, _artefacts, name, str(meshes), *ending, former=(name, half, *ending))
    views, grids = str(shop.made("render")), str(shop.made("voxelize"))
    ending = ("OUT", "--layout", "binvox", *common)
    former = ("data", "import", str(folder / "half" / "voxelize"), *ending)
    add("data import", _artefacts, "data", "import", grids, *ending, former=former)
    for name, data in (("train by gradients", grids), ("train in closed form", views)):
        config = folder / f"{name}.yaml"
        add(name, _epochs, "train", str(config), "--data", data, "--out", "OUT", "--json", again=("--resume",))
    run = shop.made("train in closed form")
    add("metric", _metric, "metric", "OUT", "--data", views, "--json", start=run)
    ending = ("OUT", "--model", str(run), *common)
    add("index", _features, "index", str(meshes), *ending, former=("index", half, *ending))
    words = ("eval", str(run), "--data", views, "--out", "OUT", "--json")
    add("eval", _report, *words, former=(*words, "--split", "val"))
    return shop


def _filled(words: tuple[str, ...], out: Path) -> list[str]:
    return [str(out) if word == "OUT" else word for word in words]


def remove(path: Path) -> None:
    """Remove a file or a folder, if it exists."""
    with suppress(FileNotFoundError):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
