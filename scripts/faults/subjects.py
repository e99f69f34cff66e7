"""The commands that are put to the test, on small inputs, and what each leaves when nothing happens to it."""

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
from processes import Command, Ended, require

from shapecnn.sources.shapes import write_collection
from shapecnn.storage.checksums import SUMS
from shapecnn.storage.journal import read_journal
from shapecnn.storage.publishing import published
from shapecnn.storage.unfinished import STAGED, WORK

_TIMED = (b"  model.json", b"  metrics.jsonl", b"  metric.json")  # tell how many seconds a training or a metric took

LOCKED, PUBLISHING = "/.lock", "/.publish.tmp"  # the first change under the lock, and that of a publication

Check = Callable[[Ended], None]
"""Raises a Fault if the command that went on made anew what was finished before."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A command that writes OUT.

    start: what has to be in OUT, earlier: what may be, of a former run on less (None: nothing).  again: words that are
    added to go on.  kept: what an OUT holds that is finished, as a check of what comes after.  whole: what is in OUT
    after an undisturbed run, ``seconds`` long, of ``changes`` changes of files, the last ``publishing`` to publish, of
    which number ``commit`` is the commit.
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
        """Put into ``out`` what has to be there, or may be; returns what that is a copy of."""
        source = (self.earlier if earlier else None) or self.start
        if source is not None:
            shutil.copytree(source, out)
        return source

    def on(self, source: Path, copy: Path, undisturbed: Path, scratch: Path) -> Subject:
        """The same command on a copy of what it reads, whose undisturbed run is made now."""
        moved = replace(self, _words=tuple(word.replace(str(source), str(copy)) for word in self._words), earlier=None)
        moved.begin(undisturbed)
        Command(moved.words(undisturbed), undisturbed, scratch).wait().answer()
        return replace(moved, whole=contents(undisturbed))

    def go_on(self, out: Path, scratch: Path) -> Ended:
        """Run the command to its end in an ``out`` where something happened, and require that nothing shows."""
        check = self.kept(out)
        ended = Command([*self.words(out), *self.again], out, scratch).wait()
        ended.answer()
        check(ended)
        self.require_whole(out)
        return ended

    def require_whole(self, out: Path) -> None:
        """Raise a Fault unless ``out`` holds the same files with the same bytes as after an undisturbed run."""
        found = contents(out)
        unlike = sorted(name for name in found | self.whole if found.get(name) != self.whole.get(name))
        require(not unlike, f"{len(unlike)} files differ from those of an undisturbed run: {', '.join(unlike[:4])}")

    def require_intact(self, out: Path, source: Path | None) -> None:
        """Raise a Fault unless a reader finds every file of ``source`` in ``out`` as it was or as it ends up, all that
        change old or all new."""
        old = []
        for name, before in (contents(source) if source else {}).items():
            path, after = published(out, name), self.whole.get(name)
            now = comparable(path) if path.exists() else None
            require(now in (before, after), f"{name}, which was there before, is not what it was")
            old += [now == before] * (before != after)
        require(all(old) or not any(old), "of what is published together, some is old and some is new")


def contents(folder: Path) -> dict[str, bytes]:
    """What can be compared of every file, by relative path; all but locks, which stay empty and have no meaning."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {path.relative_to(folder).as_posix(): comparable(path) for path in files}


def comparable(path: Path) -> bytes:
    """The bytes of a file, but how many ``seconds`` a training or a metric took, and the hashes which those enter: of a
    file in itself, and in the list of all."""
    data = path.read_bytes()
    if path.name == SUMS:
        lines = data.splitlines()[1:]  # the first is a hash of these
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


# What is finished already, and must not be made anew


def _artefacts(out: Path) -> Check:
    """Of what two workers had made, two results each may not have been noted."""
    finished = max(0, sum(path.suffix in (".png", ".binvox") for path in out.rglob("*")) - 4)

    def check(ended: Ended) -> None:
        kept = ended.answer()["skipped"]
        require(kept >= finished, f"at least {finished} artefacts were finished, and only {kept} were kept")

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
    sums = published(out / "resume", SUMS)  # of what is finished there
    activations = set(re.findall(r"(activations-\w+)\.npy$", sums.read_text() if sums.exists() else "", re.MULTILINE))

    def check(ended: Ended) -> None:
        told = [int(number) for number in re.findall(r"epoch (\d+) of", ended.stderr)]
        again = [number for number in told if finished or number <= epochs]
        require(not again, f"{epochs} epochs were finished, and these were trained again: {again}")
        written = set(re.findall(r"open /resume/(activations-\w+)\.partial", ended.log.read_text()))
        require(not written & activations and not (finished and written), "activations were computed again")

    return check


def _metric(out: Path) -> Check:
    finished = published(out, "metric.json").exists()

    def check(ended: Ended) -> None:
        require(ended.answer()["anew"] != finished, "the metric was learned, and was learned again")

    return check


def _report(_: Path) -> Check:
    return lambda _: None  # is measured in one go


def _journal_ids(folder: Path) -> list[str]:
    return [record["id"] for record in read_journal(folder)[1]]


def _published_ids(out: Path, table: str) -> set[str]:
    path = published(out, table)
    if not path.exists():
        return set()
    rows = pyarrow.parquet.read_table(path).to_pylist()
    return {row["id"] for row in rows if row.get("status", "ok") == "ok"}


# The workshop

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
    """meshes: a collection of 64.  views, grids: made of it.  run: trained on the views.  index: of the meshes."""

    folder: Path
    subjects: dict[str, Subject]

    @property
    def meshes(self) -> Path:
        return self.folder / "meshes"

    def made(self, name: str) -> Path:
        """What the undisturbed run of a subject left."""
        return self.folder / "whole" / name


def open_workshop(folder: Path) -> Workshop:
    """Make the inputs, and run every command once undisturbed, in an order in which each finds what it needs."""
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
        """former: the words that make, of less, what OUT may hold before."""
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
    """A file or a folder, if it is there."""
    with suppress(FileNotFoundError):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
