"""``shapecnn ladder``: train and compare the systems of a lecture, from logistic regression to multi-view networks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from shapecnn.cli.console import emit, note
from shapecnn.cli.next_steps import suggest_for_comparison
from shapecnn.cli.options import (
    LocalPath,
    command_line,
    device_option,
    json_option,
    overwrite_option,
    quiet_option,
    set_option,
    up_option,
    workers_option,
)
from shapecnn.cli.progress import progress_bar
from shapecnn.cli.tables import is_drawn, titled, wrapped
from shapecnn.workers.progress import stage

if TYPE_CHECKING:
    from shapecnn.models.device import Device
    from shapecnn.settings.views_and_grids import Up


@click.command("ladder")
@click.option("--data", "collection", required=True, type=LocalPath(path_type=Path), metavar="COLLECTION",
              help="Meshes with labels, in the splits train and test: a folder, a zip of a folder, or a CSV with the "
              "header path,label,split.")  # fmt: skip
@click.option("--out", required=True, type=LocalPath(path_type=Path, file_okay=False), metavar="DIR",
              help="Folder for views, grids, trained networks and report/report.html.")  # fmt: skip
@click.option("--rung", "names", multiple=True, metavar="NAME",
              help="System to train and measure, such as lenet or sph (docs/ladder.md lists all). Repeat the option "
              "for several.  [default: all]")  # fmt: skip
@set_option
@up_option
@overwrite_option
@device_option
@workers_option
@quiet_option
@json_option
def command(
    collection: Path,
    out: Path,
    names: tuple[str, ...],
    assignments: tuple[str, ...],
    up: Up,
    overwrite: bool,
    device: Device,
    workers: int | None,
    as_json: bool,
) -> None:
    """Train and compare the systems of a lecture on networks for shapes, one above the other.

    The ladder begins with linear and logistic regression. Multilayer perceptrons, LeNet, AlexNet, multi-view and
    volumetric networks follow, and engineered descriptors to compare them with. The page at the end explains each
    system in three sentences and shows its results, its precision-recall curve and its filters. Beside it are the
    table (ladder.csv, ladder.json) and the picture of all curves (pr.png, pr.svg).

    Running the same command again continues where it stopped. `--set` changes a setting of every training config that
    has it, such as stages.views.epochs=5; `shapecnn configs` lists the configs of the trained systems as ladder/NAME.

    \b
    Examples:
      shapecnn ladder --data psb.zip --up y --out ladder/
      shapecnn ladder --data meshes/ --out ladder/ --rung lenet --rung mvcnn --rung sph
    """
    from shapecnn import Workers, climb_ladder
    from shapecnn.ladder import choose_rungs
    from shapecnn.report.ladder import lines, write_ladder
    from shapecnn.settings.base import parse_assignments
    from shapecnn.storage.own import require_report
    from shapecnn.workers.server import start_server

    start_server()  # early: it loads its modules while this process loads its own
    choose_rungs(names)  # a wrong name is reported before anything else
    report = out / "report"
    require_report("ladder.json", report, overwrite)
    ladder = climb_ladder(
        collection,
        out,
        names,
        up=up,
        settings=parse_assignments(assignments),
        overwrite=overwrite,
        device=device,
        workers=Workers(workers),
        command=command_line(),
        bar=progress_bar,
        say=note,
    )
    emit(ladder.to_json(), as_json, wrapped(lines(ladder, _tables)))  # before the report: a full disk must not lose it
    with stage("Writing the report"):
        write_ladder(report, ladder, overwrite)
    note(f"Wrote {report / 'report.html'}")
    suggest_for_comparison(ladder.comparison)
    if ladder.failed:
        click.get_current_context().exit(1)


def _tables(rows: list[list[str]]) -> list[str]:
    """Return the lines of the table of results; at a terminal, of two, because one is too wide for most screens.

    Args:
        rows: Titles of the columns, then the cells of each rung.
    """
    from shapecnn.report.ladder import COSTS

    if not is_drawn():
        return titled(rows)
    costs = [place for place, title in enumerate(rows[0]) if title in ("input", *COSTS)]
    figures = [place for place, title in enumerate(rows[0]) if title not in ("input", *COSTS)]
    return [line for places in (figures, [0, *costs]) for line in titled([[row[k] for k in places] for row in rows])]
