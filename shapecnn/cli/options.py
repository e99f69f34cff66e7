"""Options that several commands share, under one name and with one meaning."""

from __future__ import annotations

import functools
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from shapecnn.cli.console import be_quiet

Command = Callable[..., Any]

FAILURES = ("path", "error", "written_by")
"""The columns of what --failures names. The last, ``WRITER`` in each row, tells it from a person's own list, which
may well have the other two."""

WRITER = "shapecnn"

_FAILURES_FILE = "shapecnn.failures"  # in the context of a command

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON value on stdout.")
quiet_option = click.option(
    "--quiet",
    is_flag=True,
    expose_value=False,
    callback=lambda _context, _option, given: be_quiet() if given else None,
    help="No progress and no notes on stderr; what fails is still told.",
)
up_option = click.option(
    "--up",
    type=click.Choice(["x", "y", "z"]),
    default="z",
    show_default=True,
    help="Which axis of the mesh files points up.",
)
known_up_option = click.option(
    "--up",
    type=click.Choice(["x", "y", "z"]),
    help="Which axis of the mesh files points up.  [default: as in the meshes that the index or the run was made of]",
)
index_up_option = click.option(
    "--up",
    type=click.Choice(["x", "y", "z"]),
    help="Which axis of the mesh files points up.  [default: as when INDEX was made; z for a new one]",
)
_LABELS = "What names the label and the split of a shape: what its CSV or its folders look like, its first folder, or nothing."  # noqa: E501
labels_option = click.option(
    "--labels", type=click.Choice(["auto", "folder", "none"]), default="auto", show_default=True, help=_LABELS
)
index_labels_option = click.option(
    "--labels",
    type=click.Choice(["auto", "folder", "none"]),
    help=f"{_LABELS}  [default: as when INDEX was made; auto for a new one]",
)
orientation_option = click.option(
    "--orientation",
    type=click.Choice(["upright", "auto"]),
    default="upright",
    show_default=True,
    help="As --up says, or each mesh turned to axes found in it, where up is not known.",
)
trained_orientation_option = click.option(
    "--orientation",
    type=click.Choice(["upright", "auto"]),
    help="How the meshes are turned; a trained run knows, and refuses another.  [default: as the model has it]",
)
workers_option = click.option(
    "--workers", type=click.IntRange(1), help="Processes that work on meshes.  [default: one a core]"
)
timeout_option = click.option(
    "--timeout", type=click.FloatRange(0.1), default=300.0, show_default=True, help="Seconds that one mesh may take."
)
memory_option = click.option(
    "--memory", type=click.FloatRange(0.5), default=2.0, show_default=True,
    help="GB that each process may take; a mesh that needs more fails.",
)  # fmt: skip
max_faces_option = click.option(
    "--max-faces", type=click.IntRange(4),
    help="Faces that a mesh may have; one with more fails.  [default: as many as memory holds]",
)  # fmt: skip
simplify_option = click.option(
    "--simplify", is_flag=True, help="Bring a mesh with more than --max-faces down to them instead."
)
skip_errors_option = click.option("--skip-errors", is_flag=True, help="Exit with 0 even if some meshes failed.")
overwrite_option = click.option(
    "--overwrite",
    is_flag=True,
    help="Replace files in the way that shapecnn did not write, and what it made with other settings.",
)
device_option = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where the network runs.",
)
set_option = click.option(
    "--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change one setting; may be repeated."
)

collection_argument = click.argument("collection", type=click.Path(path_type=Path))


def batch_options(command: Command) -> Command:
    """What every command takes that reads a collection of meshes."""
    return workers_options(skip_errors_option(quiet_option(json_option(command))))


def workers_options(command: Command) -> Command:
    """What every command takes that has processes read meshes; ``workers``, a Workers, is what it is given."""

    @functools.wraps(command)
    def staffed(*args: Any, workers: int | None, timeout: float, memory: float, **options: Any) -> Any:
        from shapecnn.workers.pool import Workers

        return command(*args, workers=Workers(workers, timeout, memory), **options)

    return workers_option(timeout_option(memory_option(staffed)))


def failures_option(command: Command) -> Command:
    """--overwrite, and --failures for the commands that go on when a file fails: see :func:`failures_file`."""

    @functools.wraps(command)
    def listing(*args: Any, failures: Path | None, overwrite: bool, **options: Any) -> Any:
        if failures is not None:
            _require_csv(failures, overwrite)
            click.get_current_context().meta[_FAILURES_FILE] = failures, overwrite
        return command(*args, overwrite=overwrite, **options)

    option = click.option("--failures", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.csv",
                          help="Also write the path and the error of each file that failed.")  # fmt: skip
    return option(overwrite_option(listing))


def failures_file() -> Path | None:
    """What --failures named, if it may be written still: the command may have put a file of its own there since."""
    named: tuple[Path, bool] | None = click.get_current_context().meta.get(_FAILURES_FILE)
    if named is None:
        return None
    _require_csv(*named)
    return named[0]


def _require_csv(path: Path, overwrite: bool) -> None:
    """Raise UsageError unless --failures may name ``path``."""
    from shapecnn.errors import UsageError
    from shapecnn.storage.files import is_stream, require_file
    from shapecnn.storage.spreadsheets import is_csv_text

    if path.suffix.lower() != ".csv" and not is_stream(path):
        raise UsageError(f"--failures {path}: the file is a CSV, so give it a name that ends in .csv.")
    require_file(path, overwrite, lambda content: is_csv_text(content, FAILURES, WRITER))


def faces_options(command: Command) -> Command:
    """What every command takes that shows meshes to something; ``limit``, a FaceLimit, is what it is given."""

    @functools.wraps(command)
    def limited(*args: Any, max_faces: int | None, simplify: bool, **options: Any) -> Any:
        from shapecnn.settings.artefacts import FaceLimit

        if simplify and max_faces is None:
            raise click.UsageError("--simplify: to how many faces? Say so with --max-faces.")
        return command(*args, limit=FaceLimit(max_faces, simplify), **options)

    return max_faces_option(simplify_option(limited))


def command_line() -> str:
    """What the person typed, to be shown in advice."""
    return shlex.join(["shapecnn", *sys.argv[1:]])
