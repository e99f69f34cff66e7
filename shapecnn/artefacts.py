"""A folder of artefacts: one or more files for each of many items, a manifest, and the settings they were made with.

Made in parallel, and resumable at any moment: each artefact appears whole, what has been made is noted in a journal as
it happens, and the manifest and the settings are published together once everything has been tried. An item that cannot
be used is a row of the manifest, never the end of the run. In the end the folder is what a first run would have made
of it.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

from shapecnn import pool
from shapecnn.checksums import SUMS
from shapecnn.collection import artefact_stems
from shapecnn.config import Settings
from shapecnn.errors import CollectionError, ItemError, MismatchError, StoredDataError, visible
from shapecnn.journal import open_journal, read_journal
from shapecnn.own import remove_own, require_own, require_unchanged, start_anew, written
from shapecnn.pool import ONE_A_CORE, Workers
from shapecnn.sealed import open_sealed
from shapecnn.storage import (
    LOCK,
    WORK,
    WORKS,
    discard,
    exclusive,
    json_bytes,
    publish,
    sha256,
    sha256_of,
    write_noted,
)
from shapecnn.tables import read_table, table_bytes

Progress = Callable[[int, int], None]

MANIFEST, SETTINGS = "manifest.parquet", "settings.json"

REMEDY = "Put it back from a copy, or run the command that made it once more, with --overwrite."
"""What helps against damaged artefacts."""


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
class Entry:
    """One row of a manifest: what became of one item."""

    id: str
    label: str | None
    split: str | None
    sha256: str | None  # of what it is made from; None where that was not read to the end
    status: Literal["ok", "failed"]
    error: str | None
    note: str | None = None  # what its file holds and the artefacts do not; earlier versions had no such column


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run did.  failures: (path of the item, one sentence), by id."""

    written: int
    skipped: int
    failed: int
    seconds: float
    failures: list[tuple[str, str]]


def artefact_files(settings: Mapping[str, Any], stem: str) -> list[str]:
    """Relative paths of the artefacts of one item under these ``settings.json``, in the order of views or rotations."""
    if settings["kind"] == "voxels":
        count = settings.get("rotations", 1)
        return [f"{stem}.binvox"] if count == 1 else [f"{stem}_r{k:02d}.binvox" for k in range(count)]
    if settings["layout"] == "sheet":
        return [f"{stem}.png"]
    return [f"{stem}_{view:03d}.png" for view in range(1, settings["views"] + 1)]


def make_artefacts(
    items: Sequence[ItemT],
    out: Path,
    maker: Maker[ItemT],
    *,
    command: str,
    overwrite: bool = False,
    workers: Workers = ONE_A_CORE,
    progress: Progress = lambda _done, _total: None,
) -> Summary:
    """Make the artefacts of all ``items`` (in order of id) in ``out``; what is there already and still true is left
    alone, what an earlier run made of items that are gone or fail now is removed.

    ``command`` is what a person would type to make ``out`` anew, for the message when it holds artefacts of other
    settings. ``overwrite`` does make it anew then, and replaces files in the way that shapecnn did not write. Raises
    CollectionError, UsageError for such files, MismatchError, StoredDataError and BusyError before any work, and
    whatever ``maker`` raises that is no ItemError.
    """
    started = time.monotonic()
    settings = maker.to_json()
    stems = artefact_stems([item.id for item in items])
    _require_apart(items, stems, settings)
    require_own(SETTINGS, out, overwrite)
    with exclusive(out, overwrite):
        known = written(out)
        targets = [name for stem in stems for name in artefact_files(settings, stem)]
        published_once = {MANIFEST, SETTINGS, SUMS} & known.keys()  # which are held against their hashes when read
        require_unchanged(out, {*targets, MANIFEST, SETTINGS, *known} - published_once, overwrite)
        finished = SETTINGS in known and (out / SETTINGS).exists()
        scratch = out / WORK
        try:
            _require_same(out, finished, maker, command)
            earlier = _made_earlier(out, finished, settings)
        except (MismatchError, StoredDataError):
            if not overwrite:
                raise
            start_anew(out)
            earlier = {}
        tasks = (_Task(item, stem, maker, out, earlier.get(stem)) for item, stem in zip(items, stems, strict=True))
        entries: dict[str, Entry] = {}
        failures: dict[str, tuple[str, str]] = {}
        count = 0
        current: dict[str, str] = {}
        with (
            open_journal(scratch, settings) as note,
            closing(pool.run(_make, tasks, workers)) as results,
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
        remove_own(out, known.keys() - {*current, MANIFEST, SETTINGS, SUMS}, known)
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


def read_manifest(out: Path) -> list[Entry]:
    """The rows of a finished manifest, by id.  Raises StoredDataError."""
    sealed = open_sealed(out, REMEDY)
    content = sealed.read(MANIFEST)
    with sealed.expecting(MANIFEST):
        return read_table(Entry, content)


@dataclass(frozen=True, slots=True)
class _Earlier:
    """What artefacts were made from, their SHA-256, and what was noted then."""

    id: str
    sha256: str | None
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


def _make(task: _Task) -> _Made:
    """Runs in a worker: the artefacts of one item, unless they are there as they were made from the same bytes."""
    sha = None
    try:
        sha, draw = task.maker.open(task.item)
        names = artefact_files(task.maker.to_json(), task.stem)
        targets = [task.out / name for name in names]
        known = task.earlier
        if known and (known.id, known.sha256) == (task.item.id, sha) and _holds(targets, known.artefacts):
            return _Made(sha, written=False, artefacts=known.artefacts, note=known.note)
        contents, note = draw()
        digests = []
        for name, target, content in zip(names, targets, contents, strict=True):
            write_noted(target, name, content, task.out / WORK)
            digests.append(sha256(content))
    except ItemError as error:
        return _Made(sha, written=False, error=str(error))
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            error.filename = error.filename or str(task.out)  # which writing to a full disk leaves out
            raise
        return _Made(sha, written=False, error="its name is too long for that of an artefact: shorten it")
    return _Made(sha, written=True, artefacts=tuple(digests), note=note)


def _holds(targets: Sequence[Path], digests: Sequence[str]) -> bool:
    """Whether the files are there, as they were written."""
    try:
        return [sha256_of(target) for target in targets] == [*digests]
    except OSError:
        return False


def _require_apart(items: Sequence[Item], stems: Sequence[str], settings: Mapping[str, Any]) -> None:
    """Raise CollectionError if an artefact would stand where a folder has to be, or a file of shapecnn's own."""
    owners = {name: item.id for item, stem in zip(items, stems, strict=True) for name in artefact_files(settings, stem)}
    for name, shape_id in owners.items():
        first = PurePosixPath(name).parts[0]
        if first in (MANIFEST, SETTINGS, SUMS, LOCK, *WORKS):
            raise CollectionError(
                f"{visible(shape_id)} would be written to {visible(name)}, where shapecnn keeps its own {first}: "
                f"rename it."
            )
        for parent in map(str, PurePosixPath(name).parents):
            if parent in owners:
                raise CollectionError(
                    f"{visible(owners[parent])} would be written to the file {visible(parent)}, and "
                    f"{visible(shape_id)} into a folder of that name: rename one of them."
                )


def _require_same(out: Path, has_settings: bool, maker: Maker[Any], command: str) -> None:
    asked = maker.to_json()
    rebuild = f"To keep it, name another folder. To replace it: {command} --overwrite"
    finished = [open_sealed(out, rebuild).json(SETTINGS)] if has_settings else []
    unfinished, _ = read_journal(out / WORK)
    for stored in [*finished, unfinished or asked]:
        made_with = {key: value for key, value in stored.items() if key not in ("schema_version", "layout")}
        maker.settings.require_same(made_with, str(out), rebuild)
        if stored.get("layout", asked.get("layout")) != asked.get("layout"):
            raise MismatchError(
                f"{out} was made with --layout {stored['layout']}, this run asks for {asked['layout']}. {rebuild}"
            )


def _made_earlier(out: Path, has_settings: bool, settings: Mapping[str, Any]) -> dict[str, _Earlier]:
    """From what the artefacts of each stem were made, by the last finished run and an unfinished one after it."""
    made: dict[str, _Earlier] = {}
    if has_settings and (out / MANIFEST).exists():
        entries = read_manifest(out)
        sums = open_sealed(out, "").sums
        for stem, entry in zip(artefact_stems([entry.id for entry in entries]), entries, strict=True):
            if entry.status == "ok":
                digests = tuple(sums.get(name, "") for name in artefact_files(settings, stem))
                made[stem] = _Earlier(entry.id, entry.sha256, digests, entry.note)
    _, records = read_journal(out / WORK)
    try:
        return made | {r["stem"]: _Earlier(r["id"], r["sha256"], tuple(r["artefacts"]), r["note"]) for r in records}
    except (KeyError, TypeError):
        raise StoredDataError(f"{out / WORK} was made by another version of shapecnn. {REMEDY}") from None
