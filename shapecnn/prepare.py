"""From a collection to artefacts: contact sheets or grids, one for each mesh, with a manifest.

Parallel, and resumable at any moment: each artefact appears whole, what has been made is noted in a journal as it
happens, and the manifest and the settings are published together once everything has been tried. A mesh that cannot be
used is a row of the manifest, never the end of the run. In the end ``out`` is what a first run would have made of it.
"""

from __future__ import annotations

import errno
import io
import shlex
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from shapecnn import pool
from shapecnn.collection import Shape, artefact_stems, content_hash, list_shapes
from shapecnn.config import Layout, ViewSettings, VoxelSettings
from shapecnn.errors import MeshError, MismatchError, ShapecnnError, StoredDataError, WorkerError
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
    sha256: str | None  # of the mesh file; None where it was not read to the end
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
    alone, what an earlier run made of meshes that are gone or fail now is removed.

    ``command`` is what a person would type to make ``out`` anew, for the message when it holds artefacts of other
    settings. Raises CollectionError, MismatchError, StoredDataError and BusyError before any work, MissingLibraryError
    if the renderer asked for does not load.
    """
    started = time.monotonic()
    shapes = list_shapes(collection)
    stems = artefact_stems([shape.id for shape in shapes])
    with exclusive(out):
        recover(out)
        _require_same_recipe(out, recipe, command)
        scratch = out / WORK
        earlier = _made_earlier(out)
        tasks = (_Task(shape, stem, recipe, out, earlier.get(stem)) for shape, stem in zip(shapes, stems, strict=True))
        entries: dict[str, Entry] = {}
        failures: dict[str, tuple[str, str]] = {}
        written = 0
        current = set()
        with (
            open_journal(scratch, recipe.to_json()) as note,
            closing(pool.run(_make, tasks, workers=workers, timeout=timeout)) as results,
        ):
            progress(0, len(shapes))
            for task, outcome in results:
                shape, made = task.shape, _made(outcome)
                status: Literal["ok", "failed"] = "failed" if made.error else "ok"
                entries[shape.id] = Entry(shape.id, shape.label, shape.split, made.sha256, status, made.error)
                if made.error:
                    failures[shape.id] = (shape.path, made.error)
                else:
                    current.update(recipe.files(task.stem))
                if made.written:
                    written += 1
                    note({"stem": task.stem, "id": shape.id, "sha256": made.sha256})
                progress(len(entries), len(shapes))
        for stale in {name for stem in earlier for name in recipe.files(stem)} - current:
            if (out / stale).resolve().is_relative_to(out.resolve()):  # whatever a manifest may say
                (out / stale).unlink(missing_ok=True)
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
        rows = pyarrow.parquet.read_table(io.BytesIO(path.read_bytes())).to_pylist()  # it would take a path as UTF-8
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


_Source = tuple[str, str | None]
"""Id and SHA-256 of the mesh file that artefacts were made from."""


@dataclass(frozen=True, slots=True)
class _Task:
    shape: Shape
    stem: str
    recipe: Recipe
    out: Path
    earlier: _Source | None


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
        if (task.shape.id, sha) == task.earlier and all(target.exists() for target in targets):
            return _Made(sha, written=False)
        contents = task.recipe.make(load_shape(task.shape, data, task.recipe.settings))
        for target, content in zip(targets, contents, strict=True):
            write_atomic(target, content, task.out / WORK)
    except MeshError as error:
        return _Made(sha, written=False, error=str(error))
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            error.filename = error.filename or str(task.out)  # which writing to a full disk leaves out
            raise
        return _Made(sha, written=False, error="its name is too long for that of an artefact: shorten it")
    return _Made(sha, written=True)


def _made(outcome: _Made | ShapecnnError) -> _Made:
    """What became of one mesh; an error that is not its own, such as a missing library, is raised."""
    if isinstance(outcome, WorkerError):
        return _Made(None, written=False, error=str(outcome))
    if isinstance(outcome, ShapecnnError):
        raise outcome
    return outcome


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
    finished = [read_json(out / SETTINGS)] if (out / SETTINGS).exists() else []
    unfinished, _ = read_journal(out / WORK)
    for stored in [*finished, unfinished or recipe.to_json()]:
        if not isinstance(stored, dict):
            raise StoredDataError(f"{out / SETTINGS} is damaged. {rebuild}")
        made_with = {key: value for key, value in stored.items() if key not in ("schema_version", "layout")}
        recipe.settings.require_same(made_with, str(out), rebuild)
        if stored.get("layout", recipe.layout) != recipe.layout:
            raise MismatchError(
                f"{out} was made with --layout {stored['layout']}, this run asks for {recipe.layout}. {rebuild}"
            )


def _made_earlier(out: Path) -> dict[str, _Source]:
    """From what the artefacts of each stem were made, by the last finished run and an unfinished one after it."""
    made: dict[str, _Source] = {}
    if (out / SETTINGS).exists() and (out / MANIFEST).exists():
        entries = read_manifest(out)
        stems = artefact_stems([entry.id for entry in entries])
        made = {s: (e.id, e.sha256) for s, e in zip(stems, entries, strict=True) if e.status == "ok"}
    _, records = read_journal(out / WORK)
    return made | {record["stem"]: (record["id"], record["sha256"]) for record in records}
