"""``shapecnn audit``: find duplicate shapes, and flag duplicates in different splits or with different labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shapecnn.cli.batch import write_failures
from shapecnn.cli.completion import complete_model
from shapecnn.cli.console import emit, note
from shapecnn.cli.next_steps import suggest_report
from shapecnn.cli.options import (
    LocalPath,
    batch_options,
    device_option,
    failures_option,
    labels_option,
    set_option,
    up_option,
)
from shapecnn.cli.progress import progress_bar
from shapecnn.cli.tables import is_drawn, table
from shapecnn.errors import counted
from shapecnn.workers.progress import stage

if TYPE_CHECKING:
    from shapecnn.artefacts.manifest import Entry
    from shapecnn.duplicates.results import Audit, Group
    from shapecnn.meshes.collection import Shape
    from shapecnn.meshes.labels import Labels
    from shapecnn.models.device import Device
    from shapecnn.models.input import InputArray
    from shapecnn.report.audit import Find, Read
    from shapecnn.settings.views_and_grids import Up
    from shapecnn.workers.pool import Workers

_SHOWN = 10  # groups listed on the terminal
_PICTURE = 96  # pixels along one side of a thumbnail


@click.command("audit")
@click.argument("data", type=LocalPath(exists=True, path_type=Path))
@click.option("--model", "model_name", metavar="RUN|@NAME", shell_complete=complete_model,
              help="Also compare shapes by the features of this model; DATA must be artefacts (rendered views or "
              "voxel grids).")  # fmt: skip
@click.option("--threshold", type=float, default=0.98, show_default=True,
              help="Cosine similarity of features at or above which two shapes count as copies.")  # fmt: skip
@click.option("--out", type=LocalPath(path_type=Path, file_okay=False), metavar="DIR",
              help="Also write audit.json, audit.csv and audit.html (with pictures) to this folder.")  # fmt: skip
@set_option
@device_option
@up_option
@labels_option
@failures_option
@batch_options
def command(
    data: Path,
    model_name: str | None,
    threshold: float,
    out: Path | None,
    assignments: tuple[str, ...],
    device: Device,
    up: Up,
    labels: Labels,
    workers: Workers,
    overwrite: bool,
    skip_errors: bool,
    as_json: bool,
) -> None:
    """Find duplicate shapes in DATA, and report duplicates that are in different splits or have different labels.

    DATA is a folder of artefacts or a collection of meshes. Two shapes are copies if their files have the same bytes,
    or if they differ only in position, size, quarter turns, mirroring, or the order of vertices and faces. With
    --model, they are also copies if their features are similar.

    \b
    Examples:
      shapecnn audit views/ --out report/
      shapecnn audit views/ --model @imagenet --threshold 0.995 --json
      shapecnn audit meshes/ --up y
    """
    from shapecnn.artefacts.manifest import MANIFEST, SETTINGS
    from shapecnn.duplicates.audit import audit_artefacts, audit_collection, require_threshold
    from shapecnn.storage.kinds import is_kind_file
    from shapecnn.storage.own import require_report
    from shapecnn.storage.publishing import published

    require_threshold(threshold)
    if assignments and model_name is None:
        raise click.UsageError("--set changes a setting of a model, but no model is given: add --model @imagenet.")
    is_artefacts = any(is_kind_file(published(data, name)) for name in (SETTINGS, MANIFEST))
    if is_artefacts and labels != "auto":
        raise click.UsageError(
            f"--labels cannot be used with {data}: its views or grids already have labels. Leave the option out."
        )
    if out is not None:
        require_report("audit.json", out, overwrite)
    if is_artefacts:
        from shapecnn.artefacts.reading import open_artefacts
        from shapecnn.models.input import Input
        from shapecnn.models.model import resolve_model
        from shapecnn.settings.base import parse_assignments

        model = None if model_name is None else resolve_model(model_name, parse_assignments(assignments))
        artefacts = open_artefacts(data)
        audit = audit_artefacts(
            artefacts, bar=progress_bar, model=model, threshold=threshold, device=device, workers=workers
        )
        model_input = Input.of(artefacts.settings)
        read: Read = partial(map, lambda entry: (entry, model_input.read(artefacts, entry)))
        find: Find = artefacts.file
        place: Callable[[Entry], str] = attrgetter("id")  # artefacts do not record where the mesh was
        failed = 0  # render and voxelize have reported the failures already
    else:
        if model_name is not None:
            raise click.UsageError(
                "--model needs views or grids, but DATA holds meshes: run shapecnn render or voxelize first."
            )
        audit = audit_collection(data, bar=progress_bar, up=up, labels=labels, workers=workers, say=note)
        shapes = cache(partial(_shapes_by_id, data))
        read = partial(_draw, shapes, up=up, workers=workers)
        find = partial(_file, shapes)
        place = partial(_place, shapes)
        failed = len(audit.failed)
    emit(audit.to_json(), as_json, _lines(audit))  # before the report: a full disk must not lose the result
    if out is not None:
        from shapecnn.report.audit import write_audit

        with stage("Writing the report"):
            write_audit(out, audit, read, find, overwrite)
        note(f"Wrote {out / 'audit.html'}")
    elif audit.groups:
        suggest_report(data, "audit")
    write_failures([(place(entry), str(entry.error)) for entry in audit.failed])
    if failed and not skip_errors:
        click.get_current_context().exit(1)


def _shapes_by_id(collection: Path) -> dict[str, Shape]:
    from shapecnn.meshes.collection import list_shapes

    return {shape.id: shape for shape in list_shapes(collection, labels="none")}


def _place(shapes: Callable[[], dict[str, Shape]], entry: Entry) -> str:
    """Return the path of a shape of a collection, for messages; return its id if the file was deleted."""
    shape = shapes().get(entry.id)
    return entry.id if shape is None else shape.path


def _file(shapes: Callable[[], dict[str, Shape]], entry: Entry) -> Path | None:
    """Return the file of a shape of a collection, or None if it is inside a zip or was deleted."""
    shape = shapes().get(entry.id)
    return None if shape is None or shape.member is not None else shape.file


def _draw(
    shapes: Callable[[], dict[str, Shape]], entries: Iterable[Entry], up: Up, workers: Workers
) -> Iterator[tuple[Entry, InputArray]]:
    """Draw thumbnails of shapes of a collection; skip the shapes whose files have changed or were deleted."""
    from shapecnn.report.drawings import Drawing, draw_meshes
    from shapecnn.settings.views_and_grids import ViewSettings

    settings = ViewSettings(size=_PICTURE, up=up)
    by_id = {entry.id: entry for entry in entries if entry.id in shapes()}
    drawings = (Drawing(shapes()[name], settings, entry.sha256) for name, entry in sorted(by_id.items()))
    return ((by_id[drawing.shape.id], array) for drawing, array in draw_meshes(drawings, workers))


def _lines(audit: Audit) -> list[str]:
    """Return the printed summary of the audit: counts of duplicates, failed shapes, and groups to look at."""
    lines = [f"{audit.data}: {counted(len(audit.entries), 'shape')}, compared as {audit.kind}"]
    lines += _levels(audit)
    if audit.features is not None:
        near = ", ".join(f"{count} at {mark}" for mark, count in audit.features.near)
        lines.append(f"  shapes with a similar shape, by {audit.features.feature} of {audit.features.model}: {near}")
    if audit.failed:
        lines.append(f"  {len(audit.failed)} could not be used, such as {audit.failed[0].id}: {audit.failed[0].error}")
    if audit.empty:
        lines.append(f"  {len(audit.empty)} with blank views or empty grids, such as {audit.empty[0].entry.id}")
    flagged = [group for group in audit.groups if group.leak or group.conflict]
    lines += _flagged(flagged[:_SHOWN])
    if len(flagged) > _SHOWN:
        lines.append(f"  … and {len(flagged) - _SHOWN} more groups across splits or with different labels")
    return lines


def _levels(audit: Audit) -> list[str]:
    """Return the table of the levels of comparison: how many copies each has found."""
    header = ["copies by", "groups", "shapes", "redundant", "across splits", "with different labels"]
    rows = [
        [kind, *map(str, (level.groups, level.shapes, level.redundant, level.leaks, level.conflicts))]
        for kind, level in audit.levels.items()
    ]
    if is_drawn():
        return table(rows, header, range(1, 6), indent=2)
    lines = [
        f"  {kind:10}{groups:>9}{shapes:>8}{redundant:>11}{leaks:>15}{conflicts:>23}"
        for kind, groups, shapes, redundant, leaks, conflicts in rows
    ]
    return ["  copies by    groups  shapes  redundant  across splits  with different labels", *lines]


def _flagged(groups: Sequence[Group]) -> list[str]:
    """Return lines that name the shapes of groups which are in different splits or have different labels."""
    rows = []
    for group in groups:
        flags = [name for name, flag in (("across splits", group.leak), ("different labels", group.conflict)) if flag]
        ids = [member.entry.id for member in group.members]
        more = f" and {len(ids) - 3} more" if len(ids) > 3 else ""
        rows.append([" and ".join(flags), group.kind, f"{', '.join(ids[:3])}{more}"])
    if is_drawn():
        return table(rows, ["copies", "by", "shapes"], indent=2)
    return [f"  {flags} ({kind}): {ids}" for flags, kind, ids in rows]
