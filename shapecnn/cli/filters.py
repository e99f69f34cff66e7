"""``shapecnn filters``: show the learned filters of a network, and the shapes and places that excite them most."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shapecnn.cli.completion import complete_model
from shapecnn.cli.console import SCHEMA_VERSION, emit, note
from shapecnn.cli.next_steps import suggest_page
from shapecnn.cli.options import LocalPath, device_option, json_option, overwrite_option, quiet_option, set_option
from shapecnn.cli.progress import progress_bar
from shapecnn.cli.tables import is_drawn, table
from shapecnn.errors import counted
from shapecnn.workers.progress import stage

if TYPE_CHECKING:
    from shapecnn.filters.results import Filter, FilterLayer, LearnedFilters, Shapes
    from shapecnn.models.device import Device

SHOWN = 3  # filters of each layer, and shapes of each filter, that are listed on the terminal


@click.command("filters")
@click.argument("model", metavar="RUN|@imagenet", shell_complete=complete_model)
@click.option("--data", type=LocalPath(path_type=Path), metavar="DIR",
              help="Artefacts in which exciting places are looked for, made by render, voxelize or data import.  "
              "[default: the artefacts that RUN was trained on]")  # fmt: skip
@click.option("--split", type=click.Choice(["train", "val", "test", "all"]), default="train", show_default=True,
              help="Shapes to look at; train and val are the splits that RUN was trained with.")  # fmt: skip
@click.option("--layer", "layers", multiple=True, metavar="NAME",
              help="Layer to show; can be repeated.  [default: all convolutions; without convolutions, the layer that "
              "reads the pixels or cells]")  # fmt: skip
@click.option("--filters", type=click.IntRange(1), default=16, show_default=True,
              help="Number of filters of each layer to show: those with the strongest activations.")  # fmt: skip
@click.option("--top", type=click.IntRange(1), default=9, show_default=True,
              help="Number of shapes to show for each filter.")  # fmt: skip
@click.option("--html", type=LocalPath(path_type=Path, dir_okay=False), help="Also write an HTML page to this file. "
              "It shows the weights of the first layer, and pictures of the exciting places.")  # fmt: skip
@set_option
@overwrite_option
@device_option
@quiet_option
@json_option
def command(
    model: str,
    data: Path | None,
    split: Shapes,
    layers: tuple[str, ...],
    filters: int,
    top: int,
    html: Path | None,
    assignments: tuple[str, ...],
    overwrite: bool,
    device: Device,
    as_json: bool,
) -> None:
    """Show what the filters of a network respond to: the shapes, and the places in them, that excite each filter most.

    A filter is listed with the shapes in which its activation is strongest, and one place for each shape: a view or
    rotation, and the box of pixels or cells that the activation depends on.

    \b
    Examples:
      shapecnn filters my-run --html filters.html
      shapecnn filters my-run --data views/ --split test --layer block2 --json
    """
    from shapecnn.storage.table_reader import start_reader

    start_reader()  # early: it loads pyarrow while this process loads its own modules
    from shapecnn import learned_filters
    from shapecnn.models.model import resolve_model
    from shapecnn.settings.base import parse_assignments
    from shapecnn.storage.files import require_file, write_page

    start = time.monotonic()
    if html is not None:
        require_file(html, overwrite)
    opened = resolve_model(model, parse_assignments(assignments))
    with progress_bar("Looking for places") as progress:
        learned = learned_filters(
            opened,
            data,
            layers=layers,
            split=split,
            top=top,
            filters=filters,
            saliency=html is not None,
            device=device,
            progress=progress,
        )
    answer = {
        "schema_version": SCHEMA_VERSION,
        **learned.to_json(),
        "page": None if html is None else str(html),
        "seconds": round(time.monotonic() - start, 3),
    }
    emit(answer, as_json, _lines(learned))  # before the page: a full disk must not lose the result
    if html is not None:
        from shapecnn.report.filters import filters_page

        with stage("Writing the page"):
            write_page(html, filters_page(learned), overwrite)
        note(f"Wrote {html}")
    else:
        suggest_page("filters.html")


def _lines(learned: LearnedFilters) -> list[str]:
    """Return the printed lines: each layer with its dead filters, its first filters and their strongest places."""
    lines = [learned.heading]
    for layer in learned.layers:
        lines.append(_layer_line(layer, learned))
        shown = layer.filters[:SHOWN]
        lines += _filter_table(shown, learned) if is_drawn() else [_filter_line(each, learned) for each in shown]
        if len(layer.filters) > SHOWN:
            lines.append(f"  … {len(layer.filters) - SHOWN} more with --json or --html")
    return lines


def _layer_line(layer: FilterLayer, learned: LearnedFilters) -> str:
    unit, whole = ("pixels", "view") if learned.kind == "views" else ("cells", "grid")
    reach = f"the whole {whole}" if layer.field is None else f"{' × '.join(map(str, layer.field))} {unit}"
    return f"{layer.name}: {counted(layer.count, 'filter')}, {len(layer.dead)} dead, receptive field: {reach}"


def _filter_line(each: Filter, learned: LearnedFilters) -> str:
    view = _view(learned)
    places = [f"{place.activation:#.3g} {place.entry.id} {view} {place.view}" for place in each.strongest[:SHOWN]]
    return f"  {_name(each)}: {', '.join(places)}"


def _filter_table(shown: Sequence[Filter], learned: LearnedFilters) -> list[str]:
    """Return the same as a table for people, with a row for each place."""
    rows = []
    for each in shown:
        for number, place in enumerate(each.strongest[:SHOWN]):
            name = "" if number else _name(each)
            rows.append([name, f"{place.activation:#.3g}", place.entry.id, str(place.view)])
    return table(rows, ["filter", "activation", "shape", _view(learned)], [1, 3], indent=2)


def _name(each: Filter) -> str:
    return each.label or f"filter {each.number}"


def _view(learned: LearnedFilters) -> str:
    return "view" if learned.kind == "views" else "rotation"
