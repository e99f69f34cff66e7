"""A folder of artefacts: one or more files for each of many items, a manifest, and the settings they were made with.

Made in parallel, and resumable at any moment: each artefact appears whole, what has been made is noted in a journal as
it happens, and the manifest and the settings are published together once everything has been tried. An item that cannot
be used is a row of the manifest, never the end of the run. In the end the folder is what a first run would have made
of it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

from shapecnn.artefacts.manifest import MANIFEST, REMEDY, SETTINGS, Entry, artefact_files, artefact_stems, read_manifest
from shapecnn.errors import ItemError, MismatchError, StoredDataError
from shapecnn.meshes.collection import ContentKey, content_key
from shapecnn.settings.artefacts import ViewSettings, VoxelSettings, require_same
from shapecnn.settings.core import Settings, differences, options
from shapecnn.storage.checksums import SUMS
from shapecnn.storage.collisions import require_apart
from shapecnn.storage.journal import open_journal, read_journal
from shapecnn.storage.own import remove_own, require_own, require_unchanged, start_anew
from shapecnn.storage.publishing import HOLDS, LOCK, WORK, WORKS, discard, exclusive, publish, write_noted, written
from shapecnn.storage.reading import json_bytes, read_stored, sha256
from shapecnn.storage.sealed import open_sealed
from shapecnn.storage.tables import table_bytes
from shapecnn.workers import pool
from shapecnn.workers.pool import ONE_A_CORE, Workers
from shapecnn.workers.progress import Progress, no_progress

_OPTIONS = ({*ViewSettings.model_fields, *VoxelSettings.model_fields} | {"layout"}) - {"kind", "drawing", "filling"}
"""Settings that are options of a command, of the same name but for ``simplify``."""


class Item(Protocol):
    """What the artefacts of one row of the manifest are made from: a mesh, pictures, a grid."""

    @property
    def id(self) -> str: ...  # noqa: D102
    @property
    def label(self) -> str | None: ...  # noqa: D102
    @property
    def split(self) -> str | None: ...  # noqa: D102
    @property
    def path(self) -> str:
        """Where to find it, for people."""


ItemT = TypeVar("ItemT", bound=Item, contravariant=True)


class Maker(Protocol[ItemT]):
    """How items become artefacts; it travels to the workers."""

    @property
    def settings(self) -> Settings:
        """What changes a pixel or a cell."""

    def to_json(self) -> dict[str, Any]:
        """The content of ``settings.json``: the settings, their hash, and the layout of pictures."""

    def open(self, item: ItemT) -> tuple[str, Callable[[], Drawn]]:
        """SHA-256 of what ``item`` is made from, and what makes its artefacts.

        Raises ItemError, at once, then, or as they are drawn.
        """


class Drawn(NamedTuple):
    """contents: of the artefacts of one item, made as they are drawn.  note: what to know of the item, one sentence."""

    contents: Iterator[bytes]
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run did.  failures: (path of the item, one sentence), by id."""

    written: int
    skipped: int
    failed: int
    seconds: float
    failures: list[tuple[str, str]]


def make_artefacts(
    items: Sequence[ItemT],
    out: Path,
    maker: Maker[ItemT],
    *,
    command: str,
    overwrite: bool = False,
    workers: Workers = ONE_A_CORE,
    progress: Progress = no_progress,
) -> Summary:
    """Make the artefacts of all ``items`` (in order of id) in ``out``; what is there already and still true is left
    alone, what was made of the same bytes under another id is copied, what an earlier run made of items that are gone
    or fail now is removed.

    ``command`` is what a person would type to make ``out`` anew, for the message when it holds artefacts of other
    settings. ``overwrite`` does make it anew then, and replaces files in the way that shapecnn did not write. Raises
    CollectionError, UsageError for such files, MismatchError, StoredDataError and BusyError before any work, and
    whatever ``maker`` raises that is no ItemError.
    """
    started = time.monotonic()
    settings = maker.to_json()
    stems = artefact_stems([item.id for item in items])
    require_own(SETTINGS, out, overwrite)
    owners = {name: item.id for item, stem in zip(items, stems, strict=True) for name in artefact_files(settings, stem)}
    require_apart(owners, (MANIFEST, *HOLDS, SUMS, LOCK, *WORKS), out)
    with exclusive(out, overwrite):
        known = written(out)
        published_once = {MANIFEST, SETTINGS, SUMS} & known.keys()  # which are held against their hashes when read
        kept = require_unchanged(out, {*owners, MANIFEST, SETTINGS, *known} - published_once, overwrite)
        finished = SETTINGS in known and os.path.lexists(out / SETTINGS)  # a link to nothing is something
        scratch = out / WORK
        try:
            _require_same(out, finished, maker, command)
            earlier = _made_earlier(out, finished, settings, kept)
        except (MismatchError, StoredDataError):
            if not overwrite:
                raise
            start_anew(out)
            earlier = {}
        tasks = (_Task(item, stem, maker, out, earlier.get(stem)) for item, stem in zip(items, stems, strict=True))
        make = partial(_make, {each.content: each for each in earlier.values()})  # which each worker gets once
        entries: dict[str, Entry] = {}
        failures: dict[str, tuple[str, str]] = {}
        count = 0
        current: dict[str, str] = {}
        with (
            open_journal(scratch, settings) as note,
            closing(pool.run(make, tasks, workers)) as results,
        ):
            progress(0, len(items))
            for task, outcome in results:
                item = task.item
                made = _Made(None, written=False, error=str(outcome)) if isinstance(outcome, ItemError) else outcome
                status: Literal["ok", "failed"] = "failed" if made.error else "ok"
                entries[item.id] = Entry(item.id, item.label, item.split, made.sha256, status, made.error, made.note)
                if made.error:
                    failures[item.id] = (item.path, made.error)
                else:
                    current.update(zip(artefact_files(settings, task.stem), made.artefacts, strict=True))
                if made.written:
                    count += 1
                    record = {"stem": task.stem, "id": item.id, "sha256": made.sha256, "artefacts": made.artefacts}
                    note({**record, "note": made.note})
                progress(len(entries), len(items))
        known = written(out)
        remove_own(out, known.keys() - {*current, MANIFEST, SETTINGS, SUMS}, known, current)
        manifest = table_bytes(Entry, [entries[item.id] for item in items])
        publish(out, {MANIFEST: manifest, SETTINGS: json_bytes(settings)}, current)
        discard(scratch)
    failed = len(failures)
    return Summary(
        count,
        len(items) - count - failed,
        failed,
        time.monotonic() - started,
        [failures[i] for i in sorted(failures)],
    )


@dataclass(frozen=True, slots=True)
class _Earlier:
    """Artefacts that are there as they were written.  files: their names.  artefacts: their SHA-256."""

    content: ContentKey
    files: tuple[str, ...]
    artefacts: tuple[str, ...]
    note: str | None


@dataclass(frozen=True, slots=True)
class _Task:
    item: Item
    stem: str
    maker: Maker[Any]
    out: Path
    earlier: _Earlier | None


@dataclass(frozen=True, slots=True)
class _Made:
    """artefacts: their SHA-256, in the order of views or rotations."""

    sha256: str | None
    written: bool
    artefacts: tuple[str, ...] = ()
    error: str | None = None
    note: str | None = None


def _make(known: Mapping[ContentKey, _Earlier], task: _Task) -> _Made:
    """Runs in a worker: the artefacts of one item, unless they are there as they were made from the same bytes."""
    sha = None
    try:
        sha, draw = task.maker.open(task.item)
        names = artefact_files(task.maker.to_json(), task.stem)
        content = content_key(task.item.id, sha)
        if task.earlier is not None and task.earlier.content == content:
            return _Made(sha, written=False, artefacts=task.earlier.artefacts, note=task.earlier.note)
        same = known.get(content)
        if same is not None and _copied(same, names, task.out):
            return _Made(sha, written=True, artefacts=same.artefacts, note=same.note)
        drawn, note = draw()
        digests = []
        for name, data in zip(names, drawn, strict=True):
            write_noted(task.out / name, name, data, task.out / WORK)
            digests.append(sha256(data))
    except ItemError as error:
        return _Made(sha, written=False, error=str(error))
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            error.filename = error.filename or str(task.out)  # which writing to a full disk leaves out
            raise
        with contextlib.suppress(OSError):  # of a class of which there is nothing else
            (task.out / names[0]).parent.rmdir()
        return _Made(sha, written=False, error="its name is too long for that of an artefact: shorten it")
    return _Made(sha, written=True, artefacts=tuple(digests), note=note)


def _copied(earlier: _Earlier, names: Sequence[str], out: Path) -> bool:
    """Whether artefacts could be copied; another may have been written in the place of one of them since."""
    for old, name, digest in zip(earlier.files, names, earlier.artefacts, strict=True):
        try:
            data = read_stored(out / old)
        except OSError:
            return False
        if sha256(data) != digest:
            return False
        write_noted(out / name, name, data, out / WORK)
    return True


def _require_same(out: Path, has_settings: bool, maker: Maker[Any], command: str) -> None:
    asked = maker.to_json()
    rebuild = f"To keep it, name another folder. To replace it: {command} --overwrite"
    finished = [open_sealed(out, rebuild).json(SETTINGS)] if has_settings else []
    unfinished, _ = read_journal(out / WORK)
    for stored in [*finished, unfinished or asked]:
        made_with = {key: value for key, value in stored.items() if key not in ("schema_version", "layout")}
        advice = f"{_going_on(asked, stored)}{rebuild}"
        require_same(maker.settings.to_json(), made_with, str(out), advice)
        if stored.get("layout", asked.get("layout")) != asked.get("layout"):
            raise MismatchError(
                f"{out} was made with --layout {stored['layout']}, this run asks for {asked['layout']}. {advice}"
            )


def _going_on(asked: Mapping[str, Any], stored: Mapping[str, Any]) -> str:
    """A sentence with the options that go on with what is stored, or nothing where options cannot say it: who left one
    out is not to be told to draw everything anew, with the wrong one."""
    found = differences(asked, stored).keys()
    imported = asked.get("origin", "own") != "own"  # which data import has no options for
    if imported or not found or not found <= _OPTIONS or any(stored.get(key) is None for key in found):
        return ""
    return f"Add {options(stored, found)} to go on with it. "


def _made_earlier(
    out: Path, has_settings: bool, settings: Mapping[str, Any], kept: Mapping[str, str]
) -> dict[str, _Earlier]:
    """The artefacts of each stem, by the last finished run and an unfinished one after it, that are all as they were
    written.  kept: the SHA-256 of each file that is."""
    made: dict[str, _Earlier] = {}
    if has_settings and os.path.lexists(out / MANIFEST):
        entries = read_manifest(out)
        sums = open_sealed(out, "").sums
        for stem, entry in zip(artefact_stems([entry.id for entry in entries]), entries, strict=True):
            if entry.status == "ok":
                files = tuple(artefact_files(settings, stem))
                digests = tuple(sums.get(name, "") for name in files)
                made[stem] = _Earlier(content_key(entry.id, entry.sha256), files, digests, entry.note)
    _, records = read_journal(out / WORK)
    try:
        for record in records:
            files, digests = tuple(artefact_files(settings, record["stem"])), tuple(record["artefacts"])
            made[record["stem"]] = _Earlier(content_key(record["id"], record["sha256"]), files, digests, record["note"])
    except (KeyError, TypeError):
        raise StoredDataError(f"{out / WORK} was made by another version of shapecnn. {REMEDY}") from None
    return {stem: one for stem, one in made.items() if one.artefacts == tuple(map(kept.get, one.files))}
