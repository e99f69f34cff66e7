"""Command-line options shared by several commands; each has the same name and meaning in all of them."""

from __future__ import annotations

import functools
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from shapecnn.cli.console import be_quiet

Command = Callable[..., Any]

FAILURES = ("path", "error", "written_by")
"""Columns of the CSV file of --failures. The last column, always ``WRITER``, shows that shapecnn wrote the file: a
user's own CSV may have the other two columns."""

WRITER = "shapecnn"

_FAILURES_FILE = "shapecnn.failures"  # key in the context of a command


class LocalPath(click.Path):
    """Type of a path on this machine; a URL is refused in a sentence."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Convert as click does, after the check that the value is not a URL."""
        from shapecnn.storage.objects.url import Url, as_path

        if isinstance(value, str | os.PathLike) and isinstance(as_path(value), Url):
            self.fail(
                f"{value} is a URL, but a local path is needed here. docs/object-storage.md lists what a URL may be."
            )
        return super().convert(value, param, ctx)


class AnyPath(click.Path):
    """Type of a path on this machine, or of a URL in an object store."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Convert a URL to a Url, and another path as click does."""
        from shapecnn.storage.objects.url import Url, as_path

        if isinstance(value, str | os.PathLike) and isinstance(path := as_path(value), Url):
            return path
        return super().convert(value, param, ctx)


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON value on stdout.")
quiet_option = click.option(
    "--quiet",
    is_flag=True,
    expose_value=False,
    callback=lambda _context, _option, value: be_quiet() if value else None,
    help="Print no progress and no notes on stderr; failures are still reported.",
)
up_option = click.option(
    "--up",
    type=click.Choice(["x", "y", "z"]),
    default="z",
    show_default=True,
    help="Axis of the mesh files that points up.",
)
known_up_option = click.option(
    "--up",
    type=click.Choice(["x", "y", "z"]),
    help="Axis of the mesh files that points up.  [default: the axis stored in the index or the run]",
)
index_up_option = click.option(
    "--up",
    type=click.Choice(["x", "y", "z"]),
    help="Axis of the mesh files that points up.  [default: the axis stored in INDEX; z for a new INDEX]",
)
_LABELS = (
    "Source of labels and splits: the CSV or the folder layout (auto), always the folders class/split (folder), or "
    "nothing (none)."
)
labels_option = click.option(
    "--labels", type=click.Choice(["auto", "folder", "none"]), default="auto", show_default=True, help=_LABELS
)
index_labels_option = click.option(
    "--labels",
    type=click.Choice(["auto", "folder", "none"]),
    help=f"{_LABELS}  [default: the value stored in INDEX; auto for a new INDEX]",
)
orientation_option = click.option(
    "--orientation",
    type=click.Choice(["upright", "auto"]),
    default="upright",
    show_default=True,
    help="Rotate each mesh so that its --up axis points up (upright), or to axes computed from its geometry (auto).",
)
keep_scale_option = click.option(
    "--keep-scale",
    type=click.FloatRange(0, min_open=True),
    metavar="SIZE",
    help="Keep the relative sizes of shapes. A shape of this size, in units of the mesh files, fills the picture or "
    "the grid; smaller shapes are drawn smaller. The size is the diameter of the sphere around a shape.  "
    "[default: all shapes are scaled to the same size]",
)
trained_orientation_option = click.option(
    "--orientation",
    type=click.Choice(["upright", "auto"]),
    help="Rotate meshes as in `shapecnn render`; a trained run accepts only the value of its training data.  "
    "[default: the value stored in the model]",
)
workers_option = click.option(
    "--workers", type=click.IntRange(1), help="Number of worker processes that read meshes.  [default: one per core]"
)
timeout_option = click.option(
    "--timeout",
    type=click.FloatRange(0.1),
    default=300.0,
    show_default=True,
    help="Time limit for one mesh, in seconds.",
)
memory_option = click.option(
    "--memory", type=click.FloatRange(0.5), default=2.0, show_default=True,
    help="Memory limit of each worker process, in GB; a mesh that needs more is reported as failed.",
)  # fmt: skip
max_faces_option = click.option(
    "--max-faces", type=click.IntRange(4),
    help="Maximum number of faces; a mesh with more faces is reported as failed.  [default: limited by memory only]",
)  # fmt: skip
simplify_option = click.option(
    "--simplify", is_flag=True, help="Simplify meshes with more than --max-faces faces instead of letting them fail."
)
skip_errors_option = click.option("--skip-errors", is_flag=True, help="Exit with status 0 even if some files failed.")
overwrite_option = click.option(
    "--overwrite",
    is_flag=True,
    help="Replace files that shapecnn did not write, and results made with other settings.",
)
device_option = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Device that runs the network.",
)
set_option = click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change one setting of the model or the config; can be repeated.",
)

shard_option = click.option(
    "--shard",
    metavar="I/N",
    help="Process only shard I of N, counted from 1, so that N jobs share a collection; `shapecnn merge` joins what "
    "they make. In a SLURM array: --shard $SLURM_ARRAY_TASK_ID/N, with --array=1-N.",
)

cluster_option = click.option(
    "--cluster",
    metavar="ray[://HOST:PORT]",
    help="Divide the work among the nodes of a running Ray cluster: the one that this machine belongs to (ray), or "
    "another (ray://HOST:PORT). All nodes must see COLLECTION and the output folder. --workers is then the number for "
    "each task.",
)

objects_option = click.option(
    "--objects",
    type=click.Choice(["files", "shards"]),
    help="If OUT is a URL: store each file as an object, or many files in tar shards of about 64 MB, with the names of "
    "WebDataset.  [default: as OUT has them; files for a new OUT]",
)

collection_argument = click.argument("collection", type=AnyPath(path_type=Path))


def batch_options(command: Command) -> Command:
    """Add the options shared by all commands that read a collection of meshes.

    Args:
        command: Function of the command.

    Returns:
        The function with --workers, --timeout, --memory, --skip-errors, --quiet and --json.
    """
    return workers_options(skip_errors_option(quiet_option(json_option(command))))


def workers_options(command: Command) -> Command:
    """Add the options for the worker processes; their values reach the command as one argument, ``workers``.

    Args:
        command: Function of the command.

    Returns:
        The function with --workers, --timeout and --memory.
    """

    @functools.wraps(command)
    def wrapper(*args: Any, workers: int | None, timeout: float, memory: float, **options: Any) -> Any:
        from shapecnn.workers.pool import Workers

        return command(*args, workers=Workers(workers, timeout, memory), **options)

    return workers_option(timeout_option(memory_option(wrapper)))


def failures_option(command: Command) -> Command:
    """Add the options --overwrite and --failures; the command reads --failures with :func:`failures_file`.

    Args:
        command: Function of a command that continues when a file fails.

    Returns:
        The function with both options.
    """

    @functools.wraps(command)
    def wrapper(*args: Any, failures: Path | None, overwrite: bool, **options: Any) -> Any:
        if failures is not None:
            _require_csv(failures, overwrite)
            click.get_current_context().meta[_FAILURES_FILE] = failures, overwrite
        return command(*args, overwrite=overwrite, **options)

    option = click.option("--failures", type=LocalPath(path_type=Path, dir_okay=False), metavar="FILE.csv",
                          help="Also write the path and the error of each failed file to this CSV file.")  # fmt: skip
    return option(overwrite_option(wrapper))


def failures_file() -> Path | None:
    """Return the path of --failures, after a second check that the table of failures can be written there.

    The check is repeated because the command may have written one of its other output files to the same path.

    Returns:
        The path of the CSV file; None without --failures.

    Raises:
        UsageError: The path contains a file that must not be replaced.
    """
    option: tuple[Path, bool] | None = click.get_current_context().meta.get(_FAILURES_FILE)
    if option is None:
        return None
    _require_csv(*option)
    return option[0]


def _require_csv(path: Path, overwrite: bool) -> None:
    """Raise UsageError unless ``path`` can hold the table of failures: a new .csv file, or one that shapecnn wrote."""
    from shapecnn.errors import UsageError
    from shapecnn.storage.files import is_stream, require_file
    from shapecnn.storage.spreadsheets import is_csv_text

    if path.suffix.lower() != ".csv" and not is_stream(path):
        raise UsageError(f"--failures {path} must be a CSV file: give it a name that ends in .csv.")
    require_file(path, overwrite, lambda content: is_csv_text(content, FAILURES, WRITER))


def faces_options(command: Command) -> Command:
    """Add the options for large meshes; their values reach the command as one argument, ``limit``, a FaceLimit.

    Args:
        command: Function of the command.

    Returns:
        The function with --max-faces and --simplify.
    """

    @functools.wraps(command)
    def wrapper(*args: Any, max_faces: int | None, simplify: bool, **options: Any) -> Any:
        from shapecnn.settings.views_and_grids import FaceLimit

        if simplify and max_faces is None:
            raise click.UsageError("--simplify needs a number of faces: add --max-faces.")
        return command(*args, limit=FaceLimit(max_faces, simplify), **options)

    return max_faces_option(simplify_option(wrapper))


def command_line() -> str:
    """Return the command line that the user typed, quoted for a shell, so that messages can repeat it."""
    return shlex.join(["shapecnn", *sys.argv[1:]])
