"""The command line: a literal table of commands, each loaded only when it is called.

Here, and only here, errors become exit statuses: 0 all done, 1 something failed, 2 a bad option, path or config key,
130 interrupted (143 by SIGTERM, 129 by SIGHUP).
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import os
import signal
import sys
import warnings
from typing import Any, NoReturn

import click

from shapecnn import __version__
from shapecnn.cli.console import SCHEMA_VERSION, answered, drop_stdout, emit, expect_answer, lost, say
from shapecnn.cli.process import Ended, ending_in_order, open_streams
from shapecnn.cli.progress import heartbeat
from shapecnn.errors import Caution, ShapecnnError, UsageError, is_short_of_memory, visible

# name: (module with a click command called `command`, the line in --help)
COMMANDS = {
    "demo": ("shapecnn.cli.demo", "See everything work on generated shapes."),
    "render": ("shapecnn.cli.render", "Draw views of each mesh, 12 unless asked otherwise."),
    "voxelize": ("shapecnn.cli.voxelize", "Fill a 30³ grid for each mesh."),
    "eval": ("shapecnn.cli.evaluate", "Measure a trained or an untrained model."),
    "compare": ("shapecnn.cli.compare", "Say which of several models is better."),
    "audit": ("shapecnn.cli.audit", "Find copies, across splits or with different labels."),
    "configs": ("shapecnn.cli.configs", "List the experiments that come with shapecnn."),
    "train": ("shapecnn.cli.train", "Train a multi-view or a volumetric network."),
    "metric": ("shapecnn.cli.metric", "Learn what makes shapes of a class alike."),
    "predict": ("shapecnn.cli.predict", "Say what meshes are."),
    "explain": ("shapecnn.cli.explain", "Show which views and which pixels spoke for a class."),
    "index": ("shapecnn.cli.index", "Make a collection searchable."),
    "query": ("shapecnn.cli.query", "Find the shapes most like a mesh."),
    "verify": ("shapecnn.cli.verify", "Say what is stale, missing or corrupt."),
    "data": ("shapecnn.cli.data", "Download known collections; import views and grids."),
}


class LazyGroup(click.Group):
    """A group that knows its commands' names and one-line helps without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Names in the order of the table: the order in which a person meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[cmd_name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The table of commands, from the literal above."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with the nearest name for an unknown one."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            close = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise click.UsageError(error.message + hint, ctx) from None


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="shapecnn")
def cli() -> None:
    """Recognise, search and measure 3D shapes, from mesh files.

    \b
    Example, on a folder of OFF, OBJ, STL, PLY or GLB files:
      shapecnn index meshes/ my-index
      shapecnn query my-index chair.obj --html answer.html
    """
    try:
        os.getcwd()
    except OSError as error:
        raise UsageError(f"The current folder cannot be used ({error.strerror}): cd to one that exists.") from None
    click.get_current_context().with_resource(heartbeat())


def main() -> NoReturn:
    """Entry point of the ``shapecnn`` command.

    The process ends at once: native libraries whose threads are still at work when an error ends a command (OpenVINO,
    pyarrow) would abort it while Python takes itself apart, and turn the exit status into 134. What was registered to
    be done at the end is done before, such as the removal of the folder that the workers' server was reached in.
    """
    status = 1
    try:
        run()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)


def run() -> None:
    """Run the command that was typed; ends in SystemExit."""
    open_streams()
    warnings.showwarning = _show
    warnings.simplefilter("always", Caution)
    try:
        with ending_in_order():
            status = _run()
    except OSError:  # there is nobody to tell: the reader of stdout has left, or its disk is full
        drop_stdout()
        status = 1
    sys.exit(status or int(lost()))


def _show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
    """A Caution as the message that it is, any other warning as Python shows it."""
    if issubclass(category, Caution):
        say(f"Note: {message}")
    else:
        _show_as_usual(message, category, *place, **more)


_show_as_usual = warnings.showwarning


def _run() -> int:
    """Run the command and say what went wrong, on stderr and with --json also on stdout; returns the exit status."""
    expect_answer()
    try:
        return cli.main(standalone_mode=False) or 0  # the status a command exited with; None if it just returned
    except click.ClickException as error:
        error.message = visible(error.message)  # type: ignore[misc]  # it may quote what was typed
        error.show()
        status, kind, message = error.exit_code, UsageError.kind, error.format_message()
    except (click.Abort, KeyboardInterrupt) as end:
        status, kind, message = _interrupted(end.__cause__ or end)
        say(message if kind == "interrupted" else f"Error: {message}")
    except ShapecnnError as error:
        say(f"Error: {error}")
        status, kind, message = 2 if isinstance(error, UsageError) else 1, error.kind, str(error)
    except Exception as error:
        if is_short_of_memory(error):
            message = "There is not enough memory for it. Free some or raise the limit (ulimit -v), and run it again."
            kind = "memory"
        elif isinstance(error, OSError):
            place = f"{error.filename}: " if error.filename else ""
            told = error.strerror or error
            message = f"{place}{told}. What was finished is kept; mend this and run the command again."
            kind = "system"
        else:
            raise
        say(f"Error: {message}")
        status = 1
    if "--json" in sys.argv[1:] and not answered():  # stdout holds one value
        emit({"schema_version": SCHEMA_VERSION, "error": {"kind": kind, "message": message}}, True)
    return status


def _interrupted(cause: BaseException) -> tuple[int, str, str]:
    """Exit status, kind and message of what click calls an abort, which may be an error of a library, too."""
    if isinstance(cause, EOFError):
        ended = "A file or a process ended before all of it was read."
        return 1, "system", f"{ended} Run the command again; if this comes again, please report it."
    again = "the same command with --resume" if sys.argv[1:2] == ["train"] else "the same command again"
    number = cause.number if isinstance(cause, Ended) else signal.SIGINT
    by = "" if number == signal.SIGINT else f" by {signal.Signals(number).name}"
    return 128 + number, "interrupted", f"Interrupted{by}. What was finished is kept; run {again} to go on."
