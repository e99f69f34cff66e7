"""Merge indexes of the shards of one collection, so that the result is that of one run.

Features, shapes and failures are those of the parts. What depends on the whole collection, which are the places of the
shapes in an adapted space, is computed again. Features are read from mapped files, one shape at a time, except to
compute an adapted space.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from shapecnn.errors import MismatchError
from shapecnn.meshes.collection import Say, silent
from shapecnn.meshes.parts import collect, same_options
from shapecnn.meshes.shards import Part
from shapecnn.models.comparison import FeatureComparison
from shapecnn.search.changes import IndexChanges, changes_between
from shapecnn.search.dividing import divides
from shapecnn.search.index import FEATURES, HEADER, REMEDY, Failure, Index, IndexedShape, read_failures, read_index
from shapecnn.search.previous import previous_index
from shapecnn.search.publication import Draft, place_rows, publish_index
from shapecnn.search.rows import FeatureRow, StoredRow
from shapecnn.storage.own import require_own
from shapecnn.storage.publishing import exclusive
from shapecnn.storage.reading import allow_open_files
from shapecnn.storage.sealed import open_sealed
from shapecnn.storage.unfinished import WORK, claim, discard

_MORE_FILES = 256  # open files besides those of the parts, an ample number


@dataclass(frozen=True, slots=True)
class _Item:
    """What a part holds of one mesh: the shape and its features, or the failure."""

    folder: Path
    row: IndexedShape | Failure
    features: Callable[[], FeatureRow] | None

    @property
    def id(self) -> str:
        return self.row.id

    @property
    def path(self) -> str:
        return self.row.path

    def equals(self, other: _Item) -> bool:
        """Return whether another part of the same shard holds the same. The mesh may be at another path there."""
        if replace(self.row, path="") != replace(other.row, path=""):
            return False
        if self.features is None or other.features is None:
            return self.features is other.features
        pairs = zip(self.features(), other.features(), strict=True)
        return all(one is two if one is None or two is None else np.array_equal(one, two) for one, two in pairs)


def merge_indexes(
    parts: Mapping[Path, Part],
    out: Path,
    *,
    command: str,
    unfinished: bool = False,
    overwrite: bool = False,
    say: Say = silent,
) -> tuple[IndexChanges, list[Failure]]:
    """Merge the indexes of all shards of a collection into one index.

    Args:
        parts: The parts by folder, in any order, from :func:`shapecnn.meshes.parts.read_parts`.
        out: The merged index: absent, empty, or made by an earlier command.
        command: Shell command that makes ``out``; error messages quote it.
        unfinished: Whether the parts are unfinished work in ``out``, which the caller has locked. They stay, and an
            inverted file in ``out`` is kept up to date, as by ``shapecnn index``.
        overwrite: Whether to replace an index made with other settings, and files that shapecnn did not write.
        say: Callback that receives the recall of an inverted file as one line of text.

    Returns:
        What has changed in ``out``, with absolute paths of meshes that failed; and these failures, in order of id.

    Raises:
        UsageError: A folder is not an index, or ``out`` has files that shapecnn did not write.
        MismatchError: The parts were made with different models, settings or engines, or differ in a shape; or ``out``
            is an index of another model or other settings.
        StoredDataError: A part is damaged.
        BusyError: Another process is writing to ``out``.
    """
    started = time.monotonic()
    require_own(HEADER, out, overwrite)
    allow_open_files(len(parts) + _MORE_FILES)  # each map of features holds a file open
    indexes: dict[Path, Index] = {}

    def read(folder: Path) -> Iterator[_Item]:
        indexes[folder] = read_index(folder)
        _require_same(indexes, folder)
        return _items(folder, indexes[folder])

    items = collect(parts, read, REMEDY)
    first, index = next(iter(indexes.items()))
    # A run may be in another folder on each machine; the first of its paths in alphabetical order is kept.
    record = min((each.record for each in indexes.values()), key=lambda each: each.model)
    engine = next((each.engine for each in indexes.values() if each.shapes and each.engine), {})
    shapes = [item.row for item in items if isinstance(item.row, IndexedShape)]
    failures = [item.row for item in items if isinstance(item.row, Failure)]
    rows = [
        StoredRow(item.row.sha256, item.features)
        for item in items
        if isinstance(item.row, IndexedShape) and item.features is not None
    ]
    with nullcontext() if unfinished else exclusive(out, overwrite):
        old = previous_index(out, record, None, command, overwrite=overwrite)
        claim(out / WORK)
        engine = engine or (old.engine if old is not None else {})  # no part has computed anything new
        draft = Draft(record, index.labels, engine, shapes, failures, rows, index.form)
        run = record.settings["kind"] == "run"  # its features are always compared by the cosine
        comparison = FeatureComparison() if run else record.open(first).comparison
        placed = place_rows(comparison, draft, old, out / WORK)
        for folder in parts:  # their features were memory-mapped, and the files may have changed
            open_sealed(folder, REMEDY).check(FEATURES)
        divided = comparison if divides(index.form.kind, comparison, len(shapes)) else None
        publish_index(out, draft, placed, divided=divided, old=old if unfinished else None, say=say)
        if not unfinished:
            discard(out / WORK)
    failed = [(failure.path, failure.error) for failure in failures]
    return changes_between(old, shapes, failed, time.monotonic() - started), failures


def _require_same(indexes: Mapping[Path, Index], folder: Path) -> None:
    """Raise MismatchError unless a part has the model, the settings and the engine of the parts before it."""
    (first, one), index = next(iter(indexes.items())), indexes[folder]
    one.record.require_same(index.record, str(folder), same_options(first))
    if index.labels != one.labels:
        raise MismatchError(
            f"{folder} was made with --labels {index.labels} and {first} with --labels {one.labels}: make all parts "
            f"with the same options."
        )
    for here, there in zip(index.form.options, one.form.options, strict=True):
        if here != there:
            raise MismatchError(
                f"{folder} was made with {here} and {first} with {there}: make all parts with the same options."
            )
    if not (index.shapes and index.engine):  # no engine has computed anything for it
        return
    other = next(each for each, held in indexes.items() if held.shapes and held.engine)
    if index.engine != indexes[other].engine:
        raise MismatchError(
            f"The features of {folder} were computed by {engine_text(index.engine)} and those of {other} by "
            f"{engine_text(indexes[other].engine)}, which round differently: make all parts with the same --device, on "
            f"machines of one kind and with the same packages."
        )


def _items(folder: Path, index: Index) -> Iterator[_Item]:
    for number, shape in enumerate(index.shapes):
        yield _Item(folder, shape, partial(index.row, number))
    for failure in read_failures(folder):
        yield _Item(folder, failure, None)


def engine_text(engine: Mapping[str, str]) -> str:
    """Describe an inference engine in the middle of a sentence.

    Args:
        engine: Its description; see :class:`shapecnn.search.index.Index`.
    """
    return f"{engine.get('engine')} in {engine.get('precision')} on {engine.get('device')}"
