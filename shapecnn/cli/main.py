"""Entry point of the ``shapecnn`` command: select a command, run it, and turn errors into exit statuses.

Each command is imported only when it runs. Exit statuses: 0 success, 1 failure, 2 wrong option, path or config key,
130 interrupted by Ctrl-C, 143 ended by SIGTERM, 129 ended by SIGHUP.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import os
import signal
import sys
import warnings
from typing import Any, NoReturn

import click

from shapecnn import __version__
from shapecnn.cli.console import SCHEMA_VERSION, answer_is_lost, drop_stdout, emit, expect_answer, has_answered, say
from shapecnn.cli.process import Ended, ending_in_order, ignore_signals, open_streams
from shapecnn.cli.progress import heartbeat
from shapecnn.errors import Caution, ProcessError, ShapecnnError, UsageError, is_short_of_memory, visible
from shapecnn.workers.launch import is_first_process, process_count

# name: (module with a click command called `command`, its line in --help)
COMMANDS = {
    "demo": ("shapecnn.cli.demo", "Run the whole pipeline on generated shapes."),
    "data": ("shapecnn.cli.data", "Download public collections; import views and grids."),
    "info": ("shapecnn.cli.info", "Tell what a file or a folder is, and what is in it."),
    "view": ("shapecnn.cli.view", "Show a mesh in the terminal, in a picture or in a window."),
    "render": ("shapecnn.cli.render", "Draw views of each mesh, 12 by default."),
    "voxelize": ("shapecnn.cli.voxelize", "Turn each mesh into an occupancy grid, 30³ by default."),
    "audit": ("shapecnn.cli.audit", "Find duplicate shapes in a collection, also across splits."),
    "configs": ("shapecnn.cli.configs", "List or print the built-in configs."),
    "train": ("shapecnn.cli.train", "Train a multi-view or a volumetric network."),
    "metric": ("shapecnn.cli.metric", "Learn a metric for retrieval from labelled shapes."),
    "eval": ("shapecnn.cli.evaluate", "Evaluate classification and retrieval of a model."),
    "compare": ("shapecnn.cli.compare", "Evaluate several models and test which is better."),
    "ladder": ("shapecnn.cli.ladder", "Train and compare the systems of a lecture."),
    "card": ("shapecnn.cli.card", "Write a model card of a run."),
    "predict": ("shapecnn.cli.predict", "Predict the classes of meshes."),
    "explain": ("shapecnn.cli.explain", "Show which views and pixels led to a prediction."),
    "filters": ("shapecnn.cli.filters", "Show what the filters of a network respond to."),
    "index": ("shapecnn.cli.index", "Build a search index of a collection of meshes."),
    "query": ("shapecnn.cli.query", "Find the shapes most similar to a mesh or a picture."),
    "map": ("shapecnn.cli.map", "Write a map of a collection: similar shapes near each other."),
    "serve": ("shapecnn.cli.serve", "Search a collection in the browser."),
    "merge": ("shapecnn.cli.merge", "Merge the parts that several jobs made with --shard."),
    "verify": ("shapecnn.cli.verify", "Check stored results for missing, corrupt and stale files."),
    "doctor": ("shapecnn.cli.doctor", "Say what works on this machine, and how to get the rest."),
}


class LazyGroup(click.Group):
    """Click group of all commands, which lists the names and help lines without importing the commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the command names in their usual order of use, not alphabetically."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the command with the given name; return None if no command has this name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[cmd_name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the table of command names and help lines."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the arguments name; for an unknown name, suggest the most similar command."""
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
    """Recognise and search 3D shapes in mesh files, and measure how well that works.

    \b
    Example, with a folder of OFF, OBJ, STL, PLY, GLB or GLTF files:
      shapecnn index meshes/ my-index
      shapecnn query my-index chair.obj --html answer.html
    """
    try:
        os.getcwd()
    except OSError as error:
        raise UsageError(f"The current folder cannot be used ({error.strerror}): cd to a folder that exists.") from None
    context = click.get_current_context()
    if process_count() > 1 and context.invoked_subcommand != "train":
        raise UsageError(
            f"Only train runs in several processes: start {context.invoked_subcommand} without torchrun or accelerate "
            f"launch."
        )
    context.with_resource(heartbeat())


def main() -> NoReturn:
    """Run the ``shapecnn`` command line and exit the process; the entry point of the installed script.

    The process ends by ``os._exit``, because a normal exit could change the status to 134: if an error ends a command
    while threads of native libraries (OpenVINO, pyarrow) are still running, the threads abort the process when Python
    shuts down. Exit handlers still run first, for example to clean up the socket folder of the worker server.
    """
    gc.set_threshold(50_000, 20, 20)  # lists of shapes are long and stay: looking for garbage in them takes seconds
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
    """Run the command that ``sys.argv`` names.

    Raises:
        SystemExit: Always, with the exit status.
    """
    open_streams()
    warnings.showwarning = _show
    warnings.simplefilter("always", Caution)
    if os.environ.get("_SHAPECNN_COMPLETE", "").startswith("bash"):
        from click.shell_completion import add_completion_class

        from shapecnn.cli.completion import BashCompletion

        add_completion_class(BashCompletion)
    try:
        with ending_in_order():
            status = _run()
    except OSError:  # the reader of stdout or stderr has exited, or the disk is full: no message can be written
        drop_stdout()
        status = 1
    sys.exit(status or int(answer_is_lost()))


def _show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
    """Print a warning: a Caution of shapecnn as a note of one line, any other warning in the format of Python."""
    if not is_first_process():
        return  # of processes that train together, one tells
    if issubclass(category, Caution):
        say(f"Note: {message}")
    else:
        _show_as_usual(message, category, *place, **more)


_show_as_usual = warnings.showwarning


def _run() -> int:
    """Run the command and return its exit status. Report errors on stderr, and with --json also on stdout."""
    expect_answer()
    try:
        return cli.main(standalone_mode=False) or 0  # exit status of the command; None if it returned
    except (Exception, KeyboardInterrupt) as error:
        end = _end(error)
        with contextlib.suppress(UsageError):  # if WORLD_SIZE is not a number, which is the error to tell
            if process_count() > 1:
                told, end = _among_processes(error, end)
                if told is not None:
                    return told
        if end is None:
            raise
        status, kind, message = end
        if isinstance(error, click.ClickException):
            error.show()
        else:
            say(message if kind == "interrupted" else f"Error: {message}")
    if "--json" in sys.argv[1:] and not has_answered():  # stdout holds exactly one JSON value
        emit({"schema_version": SCHEMA_VERSION, "error": {"kind": kind, "message": message}}, True)
    return status


_End = tuple[int, str, str] | None  # exit status, error kind and message; None for an error in the code of shapecnn


def _among_processes(error: BaseException, end: _End) -> tuple[int | None, _End]:
    """Find out whether another process of the training has told the user why all of them end.

    Returns:
        Pair of the exit status that this process then has, or None, and what it tells otherwise.
    """
    ignore_signals()  # torchrun ends the other processes as soon as one has ended
    try:
        from shapecnn.training.ending import LOST, has_lost_another, told_elsewhere
    except Exception:  # of torch; a signal may have interrupted its import, which cannot be repeated
        return (end[0] if end is not None and end[1] == "interrupted" else None), end
    if end is None and has_lost_another(error):
        end = 1, ProcessError.kind, LOST
    return told_elsewhere(end[0] if end else 1), end


def _end(error: BaseException) -> _End:
    """Return exit status, error kind and message of an error; None for an error in the code of shapecnn."""
    if isinstance(error, click.ClickException):
        error.message = visible(error.message)  # type: ignore[misc]  # may quote control characters
        return error.exit_code, UsageError.kind, error.format_message()
    if isinstance(error, click.Abort | KeyboardInterrupt):
        return _interrupted(error.__cause__ or error)
    if isinstance(error, ShapecnnError):
        return 2 if isinstance(error, UsageError) else 1, error.kind, str(error)
    if is_short_of_memory(error):
        message = "There is not enough memory. Close other programs or raise the limit (ulimit -v), then try again."
        return 1, "memory", message
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        problem = f"{place}{error.strerror or error}"
        return 1, "system", f"{problem}. Finished work is kept; solve the problem and run the command again."
    return None


def _interrupted(cause: BaseException) -> tuple[int, str, str]:
    """Return exit status, error kind and message after an interruption, or after an EOFError of a library.

    Click raises the exception Abort in both cases; ``cause`` tells which.
    """
    if isinstance(cause, EOFError):
        message = "A file or a process ended early. Run the command again; if it fails again, please report it."
        return 1, "system", message
    command = "the same command with --resume" if sys.argv[1:2] == ["train"] else "the same command again"
    number = cause.number if isinstance(cause, Ended) else signal.SIGINT
    by = "" if number == signal.SIGINT else f" by {signal.Signals(number).name}"
    kept = f"Finished work is kept; run {command} to continue."
    if sys.argv[1:2] == ["serve"]:
        kept = "The server has stopped."
    return 128 + number, "interrupted", f"Interrupted{by}. {kept}"
