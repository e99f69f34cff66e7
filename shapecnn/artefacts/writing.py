"""Write an artefact folder: the views or voxel grids of each shape, the manifest and the settings.

Worker processes make the artefacts in parallel. A run can be interrupted and resumed at any moment: each file is
written atomically, a journal records each finished shape, and the manifest and the settings are published together at
the end. A shape that cannot be used becomes a failed row of the manifest and does not stop the run. A resumed run ends
with the same files as an uninterrupted run.
"""

from __future__ import annotations

import contextlib
import errno
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from shapecnn.artefacts.maker import NO_FACTS, ArtefactData, BatchItem, Facts, Finished, ItemT, Maker
from shapecnn.artefacts.manifest import MANIFEST, SETTINGS, Entry, artefact_files, artefact_stems
from shapecnn.artefacts.previous import PreviousArtefacts, journal_header, previous_artefacts
from shapecnn.errors import ItemError
from shapecnn.meshes.collection import ContentKey, content_key
from shapecnn.meshes.shards import PART, Part
from shapecnn.storage.checksums import SUMS
from shapecnn.storage.collisions import require_no_collisions
from shapecnn.storage.journal import open_journal
from shapecnn.storage.kinds import KIND_FILES
from shapecnn.storage.own import remove_own, require_own
from shapecnn.storage.publishing import LOCK, exclusive, publish, written_hashes
from shapecnn.storage.reading import json_bytes, read_stored, sha256
from shapecnn.storage.tables import table_bytes
from shapecnn.storage.unfinished import WORK, WORKS, discard, move_recorded, write_recorded
from shapecnn.workers import pool, threads
from shapecnn.workers.pool import ONE_PER_CORE, Workers
from shapecnn.workers.progress import Progress, no_progress

Keeps = Callable[[ItemT, PreviousArtefacts], Facts | None]


def _always(_item: BatchItem, previous: PreviousArtefacts) -> Facts:
    return previous.facts


@dataclass(frozen=True, slots=True)
class Summary:
    """Result of writing an artefact folder: numbers of written, skipped and failed shapes, and the errors.

    Attributes:
        written: Number of shapes whose artefacts were made in this run, or copied from a shape with an identical source
            file.
        skipped: Number of shapes whose artefacts existed already.
        failed: Number of shapes that could not be used.
        seconds: Duration of the run.
        failures: Path and error of each failed shape, in order of id; the error is one sentence.
        removed: Number of shapes whose artefacts were removed, because the collection no longer has them or they cannot
            be used any more.
    """

    written: int
    skipped: int
    failed: int
    seconds: float
    failures: list[tuple[str, str]]
    removed: int = 0


def make_artefacts(
    items: Sequence[ItemT],
    out: Path,
    maker: Maker[ItemT],
    *,
    command: str,
    part: Part | None = None,
    keeps: Keeps[ItemT] = _always,
    elsewhere: Mapping[str, PreviousArtefacts] = MappingProxyType({}),
    locked: bool = False,
    overwrite: bool = False,
    workers: Workers | None = ONE_PER_CORE,
    progress: Progress = no_progress,
) -> Summary:
    """Write the artefacts (views or voxel grids) of all shapes into a folder, and reuse files of earlier runs.

    If another shape has an identical source file, its artefacts are copied. The artefacts of shapes that were deleted
    from the collection, or that fail in this run, are removed.

    Args:
        items: The shapes, in order of id.
        out: The artefact folder: absent, empty, or made by an earlier run.
        maker: Object that reads the source of a shape and makes its artefacts.
        command: Shell command that makes ``out``; error messages quote it.
        part: Shard of a collection that ``items`` are, which is recorded in ``out``; None for a whole collection.
        keeps: Function that returns what the manifest records about a shape if it may keep the artefacts that an
            earlier run made of the same source file, and otherwise None. By default, every shape may.
        elsewhere: Artefacts in the folder into which ``out`` will be merged, by the id of the shape. If the source file
            is the same, they are listed in ``out`` but neither made again nor copied.
        locked: Whether the caller has locked ``out``.
        overwrite: Whether to replace artefacts made with other settings, and files that shapecnn did not write.
        workers: Number, time limit and memory limit of the worker processes; None to work in threads of this process,
            if ``maker`` only copies files.
        progress: Called with the number of finished shapes and the number of all shapes.

    Returns:
        Numbers of written, skipped and failed shapes, and the error of each failed shape.

    Raises:
        CollectionError: Two shapes would be written to the same file.
        UsageError: ``out`` already has files of the same names that shapecnn did not write.
        MismatchError: ``out`` holds artefacts made with other settings, or of another shard.
        StoredDataError: A stored file in ``out`` is missing or damaged.
        BusyError: Another process is writing to ``out``.
        ShapecnnError: ``maker`` raised an error that is not an ItemError. ItemErrors are recorded in the manifest.
    """
    started = time.monotonic()
    settings = maker.to_json()
    require_own(SETTINGS, out, overwrite)
    stems = require_distinct_files([item.id for item in items], settings, out, part)
    names = {name for stem in stems for name in artefact_files(settings, stem)}
    described = {PART: part.content()} if part is not None else {}
    with nullcontext() if locked else exclusive(out, overwrite):
        previous = previous_artefacts(out, names, settings, part, command, overwrite)
        tasks = (
            _Task(item, stem, maker, out, previous.get(stem) or elsewhere.get(item.id))
            for item, stem in zip(items, stems, strict=True)
        )
        known = {each.content: each for each in previous.values()}
        make = partial(_make_item, known, keeps)  # sent to each worker once
        entries: dict[str, Entry] = {}
        failures: dict[str, tuple[str, str]] = {}
        count = 0
        current: dict[str, str] = {}
        with (
            open_journal(out / WORK, journal_header(settings, part)) as note,
            closing(pool.run(make, tasks, workers) if workers else threads.run(make, tasks)) as results,
        ):
            progress(0, len(items))
            for task, outcome in results:
                item = task.item
                result = _Result(None, written=False, error=str(outcome)) if isinstance(outcome, ItemError) else outcome
                status: Literal["ok", "failed"] = "failed" if result.error else "ok"
                entries[item.id] = Entry(
                    item.id, item.label, item.split, result.sha256, status, result.error, **asdict(result.facts)
                )
                if result.error:
                    failures[item.id] = (item.path, result.error)
                else:
                    current.update(zip(artefact_files(settings, task.stem), result.hashes, strict=True))
                if result.written:
                    count += 1
                    record = {"stem": task.stem, "id": item.id, "sha256": result.sha256, "artefacts": result.hashes}
                    note({**record, **asdict(result.facts)})
                progress(len(entries), len(items))
        hashes = written_hashes(out)
        remove_own(out, hashes.keys() - {*current, MANIFEST, SETTINGS, *described, SUMS}, hashes, current)
        manifest = table_bytes(Entry, [entries[item.id] for item in items])
        publish(out, {MANIFEST: manifest, SETTINGS: json_bytes(settings), **described}, current)
        discard(out / WORK)
    failed = len(failures)
    return Summary(
        count,
        len(items) - count - failed,
        failed,
        time.monotonic() - started,
        [failures[i] for i in sorted(failures)],
        len({each.id for each in previous.values()} - {i for i, entry in entries.items() if entry.status == "ok"}),
    )


def require_distinct_files(
    ids: Sequence[str], settings: Mapping[str, Any], out: Path, part: Part | None = None
) -> list[str]:
    """Raise CollectionError if the artefact files of two shapes would overwrite each other, or a file of shapecnn.

    Args:
        ids: Ids of the shapes.
        settings: Content of ``settings.json``.
        out: The artefact folder, which may be missing.
        part: Shard of a collection that ``out`` will hold; None for a whole collection.

    Returns:
        The stem of each shape; see :func:`artefact_stems`.

    Raises:
        CollectionError: Two files have the same name, or names that the file system of ``out`` does not distinguish.
    """
    stems = artefact_stems(ids)
    owners = {
        name: shape_id for shape_id, stem in zip(ids, stems, strict=True) for name in artefact_files(settings, stem)
    }
    described = () if part is None else (PART,)
    require_no_collisions(owners, (MANIFEST, *described, *KIND_FILES, SUMS, LOCK, *WORKS), out)
    return stems


@dataclass(frozen=True, slots=True)
class _Task:
    item: BatchItem
    stem: str
    maker: Maker[Any]
    out: Path
    previous: PreviousArtefacts | None


@dataclass(frozen=True, slots=True)
class _Result:
    """Outcome of making the artefacts of one shape: their hashes, or the error.

    Attributes:
        sha256: SHA-256 (hex) of the source; None if the source could not be read.
        written: Whether artefact files were written.
        hashes: SHA-256 (hex) of each artefact file, in the order of views or rotations.
        error: Why the artefacts could not be made; None without an error.
        facts: Values for the manifest.
    """

    sha256: str | None
    written: bool
    hashes: tuple[str, ...] = ()
    error: str | None = None
    facts: Facts = NO_FACTS


def _make_item(previous: Mapping[ContentKey, PreviousArtefacts], keeps: Keeps[Any], task: _Task) -> _Result:
    """Make the artefacts of one shape in a worker process, unless they can be reused or copied."""
    sha = None
    try:
        sha, draw = task.maker.open(task.item)
        names = artefact_files(task.maker.to_json(), task.stem)
        content = content_key(task.item.id, sha)
        own = task.previous
        if own is not None and own.content == content and (kept := keeps(task.item, own)) is not None:
            return _Result(sha, written=False, hashes=own.hashes, facts=_facts(task, kept, draw))
        same = previous.get(content)
        if same is not None and (kept := keeps(task.item, same)) is not None and _copy(same, names, task.out):
            return _Result(sha, written=True, hashes=same.hashes, facts=_facts(task, kept, draw))
        contents, facts = draw()
        hashes = []
        for name, data in zip(names, contents, strict=True):
            if isinstance(data, Finished):
                move_recorded(data.path, task.out / name, name, data.sha256, task.out / WORK)
                hashes.append(data.sha256)
            else:
                write_recorded(task.out / name, name, data, task.out / WORK)
                hashes.append(sha256(data))
    except ItemError as error:
        return _Result(sha, written=False, error=str(error))
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            error.filename = error.filename or str(task.out)  # a full disk leaves it empty
            raise
        with contextlib.suppress(OSError):  # remove the folder of the class if it is still empty
            (task.out / names[0]).parent.rmdir()
        return _Result(sha, written=False, error="the name is too long for an artefact file: shorten the name")
    return _Result(sha, written=True, hashes=tuple(hashes), facts=facts)


def _facts(task: _Task, recorded: Facts, draw: Callable[[], ArtefactData]) -> Facts:
    """Return what was recorded about a source; measure its mesh if an earlier version of shapecnn did not."""
    if recorded.area is None and task.maker.measures:
        with contextlib.suppress(ItemError):  # other limits apply now; the finished artefacts stay valid
            return draw().facts
    return recorded


def _copy(previous: PreviousArtefacts, names: Sequence[str], out: Path) -> bool:
    """Copy artefact files to new names; return False if one of them no longer has its recorded content."""
    for old, name, digest in zip(previous.files, names, previous.hashes, strict=True):
        try:
            data = read_stored(out / old)
        except OSError:
            return False
        if sha256(data) != digest:
            return False
        write_recorded(out / name, name, data, out / WORK)
    return True
