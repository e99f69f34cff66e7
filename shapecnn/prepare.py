"""From a collection to artefacts: contact sheets or grids, one for each mesh, with a manifest.

Parallel, and resumable at any moment: each artefact appears whole, what became of each mesh is noted in a journal as it
happens, and the manifest and the settings are published together once everything has been tried. A mesh that cannot be
used is a row of the manifest, never the end of the run.
"""

from __future__ import annotations

import io
import shlex
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from shapecnn import pool
from shapecnn.collection import Shape, artefact_stems, content_hash, list_shapes
from shapecnn.config import Layout, ViewSettings, VoxelSettings
from shapecnn.errors import MeshError, MismatchError, StoredDataError
from shapecnn.journal import open_journal, read_journal
from shapecnn.mesh import Mesh, normalize, read_mesh, upright
from shapecnn.storage import (
    WORK,
    exclusive,
    json_bytes,
    publish,
    published,
    read_json,
    recover,
    write_atomic,
)

Progress = Callable[[int, int], None]

MANIFEST, SETTINGS = "manifest.parquet", "settings.json"


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is made of each mesh.  layout: one sheet of all views, or a file for each (grids are always files)."""

    settings: ViewSettings | VoxelSettings
    layout: Layout = "sheet"

    def to_json(self) -> dict[str, Any]:
        """The content of ``settings.json``."""
        described = {"schema_version": 1, **self.settings.to_json()}
        return {**described, "layout": self.layout} if isinstance(self.settings, ViewSettings) else described

    def files(self, stem: str) -> list[str]:
        """Relative paths of the artefacts of the shape with this stem, in the order of views or rotations."""
        if isinstance(self.settings, VoxelSettings):
            count = self.settings.rotations
            return [f"{stem}.binvox"] if count == 1 else [f"{stem}_r{k:02d}.binvox" for k in range(count)]
        if self.layout == "sheet":
            return [f"{stem}.png"]
        return [f"{stem}_{view:03d}.png" for view in range(1, self.settings.views + 1)]

    def make(self, mesh: Mesh) -> Iterator[bytes]:
        """The contents of those files, in the same order."""
        if isinstance(self.settings, VoxelSettings):
            from shapecnn.voxels import binvox, voxelize

            yield from map(binvox.write, voxelize(mesh, self.settings))
            return
        from shapecnn.views import contact_sheet, draw_views

        pictures = draw_views(mesh, self.settings)
        yield from map(png, [contact_sheet(pictures)] if self.layout == "sheet" else pictures)


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of a manifest: what became of one mesh."""

    id: str
    label: str | None
    split: str | None
    sha256: str | None  # of the mesh file; None where it could not be read
    status: Literal["ok", "failed"]
    error: str | None


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run did.  failures: (path of the mesh file, one sentence), by id."""

    written: int
    skipped: int
    failed: int
    seconds: float
    failures: list[tuple[str, str]]


def prepare(
    collection: Path,
    out: Path,
    recipe: Recipe,
    *,
    command: str,
    workers: int | None = None,
    timeout: float = pool.TIMEOUT,
    progress: Progress = lambda _done, _total: None,
) -> Summary:
    """Make the artefacts of every mesh of ``collection`` in ``out``; what is there already and still true is left
    alone.

    ``command`` is what a person would type to make ``out`` anew, for the message when it holds artefacts of other
    settings. Raises CollectionError, MismatchError and BusyError before any work.
    """
    started = time.monotonic()
    shapes = list_shapes(collection)
    stems = artefact_stems([shape.id for shape in shapes])
    with exclusive(out):
        recover(out)
        _require_same_recipe(out, recipe, command)
        scratch = out / WORK
        known = _known_entries(out)
        _sweep(scratch)
        entries: dict[str, Entry] = {}
        failures: dict[str, tuple[str, str]] = {}
        written = 0
        tasks = (
            _Task(shape, stem, recipe, out, _sha_of(known.get(shape.id)))
            for shape, stem in zip(shapes, stems, strict=True)
        )
        with open_journal(scratch, recipe.to_json()) as note:
            progress(0, len(shapes))
            for task, outcome in pool.run(_make, tasks, workers=workers, timeout=timeout):
                shape = task.shape
                made = outcome if isinstance(outcome, _Made) else _Made(None, False, str(outcome))
                status: Literal["ok", "failed"] = "failed" if made.error else "ok"
                entry = Entry(shape.id, shape.label, shape.split, made.sha256, status, made.error)
                entries[shape.id] = entry
                written += made.written
                if made.error:
                    failures[shape.id] = (shape.path, made.error)
                note(_row(entry))
                progress(len(entries), len(shapes))
        publish(out, {
            MANIFEST: _manifest_bytes([entries[shape.id] for shape in shapes]),
            SETTINGS: json_bytes(recipe.to_json()),
        })  # fmt: skip
        shutil.rmtree(scratch)
    failed = len(failures)
    return Summary(
        written,
        len(shapes) - written - failed,
        failed,
        time.monotonic() - started,
        [failures[i] for i in sorted(failures)],
    )


def read_manifest(out: Path) -> list[Entry]:
    """The rows of a finished manifest, by id.  Raises StoredDataError."""
    import pyarrow
    import pyarrow.parquet

    path = published(out, MANIFEST)
    try:
        rows = pyarrow.parquet.read_table(path).to_pylist()
        return [Entry(**{name: row[name] for name in Entry.__slots__}) for row in rows]
    except (OSError, pyarrow.ArrowException, KeyError) as error:
        raise StoredDataError(f"{path} cannot be read ({error}). Remove {out} and make it again.") from None


def load_shape(shape: Shape, data: bytes, settings: ViewSettings | VoxelSettings) -> Mesh:
    """The mesh in ``data``, ready to be drawn or filled.  Raises MeshError."""
    return normalize(upright(read_mesh(data, shape.id, shape.sibling), settings.up))


def png(picture: Any) -> bytes:
    """An (H, W) uint8 picture as a PNG file."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", compress_level=3)  # measured: as fast as 1, a quarter larger than 9
    return buffer.getvalue()


@dataclass(frozen=True, slots=True)
class _Task:
    shape: Shape
    stem: str
    recipe: Recipe
    out: Path
    known_sha: str | None


@dataclass(frozen=True, slots=True)
class _Made:
    sha256: str | None
    written: bool
    error: str | None = None


def _make(task: _Task) -> _Made:
    """Runs in a worker: the artefacts of one mesh, unless they are there and made from the same bytes."""
    sha = None
    try:
        data = task.shape.read()
        sha = content_hash(task.shape, data)
        targets = [task.out / name for name in task.recipe.files(task.stem)]
        if sha == task.known_sha and all(target.exists() for target in targets):
            return _Made(sha, written=False)
        contents = task.recipe.make(load_shape(task.shape, data, task.recipe.settings))
        for target, content in zip(targets, contents, strict=True):
            write_atomic(target, content, task.out / WORK)
    except MeshError as error:
        return _Made(sha, written=False, error=str(error))
    return _Made(sha, written=True)


def _sha_of(entry: Entry | None) -> str | None:
    return entry.sha256 if entry is not None and entry.status == "ok" else None


def _row(entry: Entry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in Entry.__slots__}


def _manifest_bytes(entries: list[Entry]) -> bytes:
    import pyarrow
    import pyarrow.parquet

    schema = pyarrow.schema([(name, pyarrow.string()) for name in Entry.__slots__])
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([_row(entry) for entry in entries], schema), buffer)
    return buffer.getvalue()


def _require_same_recipe(out: Path, recipe: Recipe, command: str) -> None:
    rebuild = f"To make it anew: rm -r {shlex.quote(str(out))} && {command}"
    finished = read_json(out / SETTINGS) if (out / SETTINGS).exists() else None
    unfinished, _ = read_journal(out / WORK)
    for stored in filter(None, (finished, unfinished)):
        made_with = {key: value for key, value in stored.items() if key not in ("schema_version", "layout")}
        recipe.settings.require_same(made_with, str(out), rebuild)
        if stored.get("layout", recipe.layout) != recipe.layout:
            raise MismatchError(
                f"{out} was made with --layout {stored['layout']}, this run asks for {recipe.layout}. {rebuild}"
            )


def _known_entries(out: Path) -> dict[str, Entry]:
    """What earlier runs say of each shape, finished ones and then the unfinished one."""
    finished = read_manifest(out) if (out / MANIFEST).exists() else []
    _, records = read_journal(out / WORK)
    return {entry.id: entry for entry in [*finished, *(Entry(**record) for record in records)]}


def _sweep(scratch: Path) -> None:
    """Remove what killed workers left half-written."""
    for leftover in scratch.glob(".*.tmp"):
        leftover.unlink(missing_ok=True)
