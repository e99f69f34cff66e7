"""Flipped bits and removed files in stored folders, which must be detected before the files are used."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from rows import Row
from running import Command, require
from subjects import Subject, Workshop, remove

from shapecnn.storage.checksums import SUMS
from shapecnn.storage.unfinished import WORK

Damage = Callable[[Path, np.random.Generator], None]


@dataclass(frozen=True, slots=True)
class _Stored:
    """Stored folder with its files.

    Attributes:
        folder: Folder of artefacts, a run or an index.
        readers: By file name: the command line that reads the file; empty for files that only people read.
    """

    folder: Path
    readers: dict[str, tuple[str, ...]]

    @property
    def commands(self) -> str:
        return ", ".join(["verify", *sorted({words[0] for words in self.readers.values() if words})])


def rows(shop: Workshop, kills: int) -> Iterator[Row]:
    """Yield rows for finished artefacts, runs and indexes, and for unfinished work."""
    tries = max(1, kills // 100)
    for fault, damage, statuses in (("a flipped bit", _flip, (1,)), ("a stored file is removed", _unlink, (1, 2))):
        for what, stored in _stored_things(shop).items():
            yield Row(
                fault,
                f"in each of {', '.join(stored.readers)}",
                f"{what}: {stored.commands}",
                "verify names the file; no command uses it, but says so in one sentence",
                [partial(_find, stored.folder, *item, damage, statuses) for item in stored.readers.items()] * tries,
            )
    for name in ("render", "index", "train by gradients", "train in closed form"):
        yield Row(
            "a flipped bit in unfinished work",
            "in one of its files, after a kill at a change of a file",
            name,
            "one sentence, or the same bytes as undisturbed",
            [partial(_unfinished, shop.subjects[name])] * 2 * tries,
        )


def _stored_things(shop: Workshop) -> dict[str, _Stored]:
    views, grids, index = shop.made("render"), shop.made("voxelize"), shop.made("index")
    run, by_gradients = shop.made("metric"), shop.made("train by gradients")
    mesh = str(min(shop.meshes.rglob("*.off")))
    sheet, grid = (min(folder.rglob("test/*.*")).relative_to(folder).as_posix() for folder in (views, grids))
    by_views = ("eval", str(run), "--data", str(views), "--feature", "metric", "--json")
    by_grids = ("eval", str(by_gradients), "--data", str(grids), "--json")
    predict, query = ("predict", str(run), mesh, "--json"), ("query", str(index), mesh, "--json")
    artefacts = ("manifest.parquet", "settings.json", SUMS)
    of_run = ("model.json", "model.safetensors", "split.json", "metric.json", "metric.safetensors", SUMS)
    of_people = ("config.yaml", "metrics.jsonl")
    return {
        "views": _Stored(views, dict.fromkeys((*artefacts, sheet), by_views)),
        "grids": _Stored(grids, dict.fromkeys((*artefacts, grid), by_grids)),
        "a run": _Stored(
            run, dict.fromkeys(of_run, by_views) | {"gallery.safetensors": predict} | dict.fromkeys(of_people, ())
        ),
        "an index": _Stored(
            index,
            dict.fromkeys(("index.json", "shapes.parquet", "features.safetensors", SUMS), query)
            | {"failures.parquet": ()},
        ),
    }


def _find(
    source: Path,
    name: str,
    words: Sequence[str],
    damage: Damage,
    statuses: Sequence[int],
    random: np.random.Generator,
    folder: Path,
) -> str:
    copy, scratch = folder / "copy", folder / "scratch"
    shutil.copytree(source, copy)
    damage(copy / name, random)
    verification = Command(["verify", str(copy)], copy, scratch).wait()
    output = verification.stdout + verification.stderr
    require(
        verification.status == 1 and name in output,
        f"verify ends with status {verification.status} and prints {output[-300:]!r}",
    )
    if words:
        here = [str(copy) if word == str(source) else word for word in words]
        Command(here, copy, scratch).wait().sentence(*statuses)
    return "found"


def _unfinished(subject: Subject, random: np.random.Generator, folder: Path) -> str:
    out, scratch = folder / "out", folder / "scratch"
    work = out / ("resume" if subject.name.startswith("train") else WORK)
    while not work.is_dir() or not (files := sorted(path for path in work.iterdir() if path.stat().st_size)):
        remove(out)
        at = int(random.integers(3, subject.changes))
        Command(subject.words(out), out, scratch, at=at, number=signal.SIGKILL).wait()
    victim = files[int(random.integers(len(files)))]
    _flip(victim, random)
    ended = Command([*subject.words(out), *subject.again], out, scratch).wait()
    if ended.status:
        ended.sentence(1, 2)
    else:
        subject.require_whole(out)
    return "told" if ended.status else "not used"


def _flip(path: Path, random: np.random.Generator) -> None:
    data = bytearray(path.read_bytes())
    data[int(random.integers(len(data)))] ^= 1 << int(random.integers(8))
    path.write_bytes(data)


def _unlink(path: Path, _: np.random.Generator) -> None:
    path.unlink()
