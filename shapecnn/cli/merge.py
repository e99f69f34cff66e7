"""``shapecnn merge``: join the parts that jobs on several machines made with --shard."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from shapecnn.cli.batch import report_failures
from shapecnn.cli.console import SCHEMA_VERSION, emit, note
from shapecnn.cli.next_steps import suggest_for_artefacts, suggest_for_index
from shapecnn.cli.options import (
    AnyPath,
    command_line,
    failures_option,
    json_option,
    objects_option,
    quiet_option,
    skip_errors_option,
)
from shapecnn.cli.progress import progress_bar
from shapecnn.errors import counted

if TYPE_CHECKING:
    from shapecnn.storage.outputs import Objects


@click.command("merge")
@click.argument("parts", nargs=-1, required=True, metavar="PART...", type=AnyPath(path_type=Path))
@click.argument("out", type=AnyPath(path_type=Path, file_okay=False))
@objects_option
@failures_option
@skip_errors_option
@quiet_option
@json_option
def command(
    parts: tuple[Path, ...], out: Path, objects: Objects | None, overwrite: bool, skip_errors: bool, as_json: bool
) -> None:
    """Merge each PART, which render, voxelize or index made with --shard, into OUT.

    OUT gets the same files, byte for byte, as one run on the whole collection; for an index, if the collection was at
    the same path. The order of the parts has no effect, a shard may be given twice, and the parts stay as they are. All
    shards must be there, made of one collection with the same options. After an interruption, run the same command
    again: it continues, and for an index it starts again, which takes little time.

    \b
    Examples:
      shapecnn merge parts/* views
      shapecnn merge part-1 part-2 part-3 part-4 my-index
    """
    from shapecnn import merge
    from shapecnn.artefacts.manifest import MANIFEST
    from shapecnn.search.index import FAILURES

    with progress_bar("Merging") as progress:
        merged = merge(
            parts, out, overwrite=overwrite, progress=progress, say=note, objects=objects, command=command_line()
        )
    answer = {
        "schema_version": SCHEMA_VERSION,
        "kind": merged.kind,
        "shards": merged.shards,
        "parts": merged.parts,
        "total": merged.total,
        "removed": merged.removed,
        "failed": len(merged.failures),
        "seconds": round(merged.seconds, 3),
        "failures": [{"path": path, "error": error} for path, error in merged.failures],
    }
    what = {"views": "the views of ", "voxels": "the grids of ", "index": ""}[merged.kind]
    emit(
        answer,
        as_json,
        [
            f"{counted(merged.shards, 'shard')} merged, {merged.removed} removed, {len(merged.failures)} failed in "
            f"{merged.seconds:.1f} s: {out} holds {what}{counted(merged.total, 'shape')}"
        ],
    )
    report_failures(
        merged.failures,
        skip_errors,
        record=out / (FAILURES if merged.kind == "index" else MANIFEST),
        then=lambda: suggest_for_index(out) if merged.kind == "index" else suggest_for_artefacts(out),
    )
