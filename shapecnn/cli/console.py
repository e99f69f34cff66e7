"""Print the output of the commands: results on stdout, messages and progress on stderr."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Iterable

import click

from shapecnn.api.records import SCHEMA_VERSION as SCHEMA_VERSION
from shapecnn.errors import encodable, visible
from shapecnn.workers.launch import is_first_process

_answered = False  # whether the command has printed its result
_lost = False  # whether printing the result failed
_QUIET = "shapecnn.quiet"  # key in click's meta, which a command shares with its group


def say(message: str) -> None:
    """Print a message of one line to stderr, even with --quiet; above the progress bars, if there are any."""
    # While bars are shown, sys.stderr is rich's, which makes room for the message; click would look through it.
    above_bars = sys.stderr if hasattr(sys.stderr, "rich_proxied_file") else None
    click.echo(visible(message), file=above_bars, err=True)


def note(message: str) -> None:
    """Print a message of one line to stderr, unless --quiet is set."""
    if not is_quiet():
        say(message)


def be_quiet() -> None:
    """Suppress progress and notes on stderr until the command ends."""
    click.get_current_context().meta[_QUIET] = True


def is_quiet() -> bool:
    """Return whether the running command shows no progress: started with --quiet, or not the first of its processes."""
    context = click.get_current_context(silent=True)
    return not is_first_process() or (context is not None and bool(context.meta.get(_QUIET)))


def emit(value: object, as_json: bool, lines: Iterable[str] = ()) -> None:
    """Print the result of a command on stdout, as one JSON value or as lines of text.

    A failure to write to stdout is reported on stderr, and :func:`answer_is_lost` then returns True.

    Args:
        value: Result for --json, of dicts, lists, strings, finite numbers, booleans and None.
        as_json: Print ``value`` as JSON instead of ``lines``.
        lines: Result as text. Line ends and control characters within a line are escaped, so that a file name cannot
            start a new line.
    """
    global _answered, _lost  # a process runs one command
    _answered = True
    # JSON in ASCII, which every locale can print
    texts = [json.dumps(encodable(value), allow_nan=False)] if as_json else map(visible, lines)
    try:
        for text in texts:
            click.echo(text)
    except OSError as error:  # not fatal: the command has yet to write its report or page
        _lost = True
        if error.errno != errno.EPIPE:  # a reader such as `head` may close the pipe early
            say(
                f"Error: the result could not be written to stdout ({error.strerror}). Solve the problem, such as a "
                f"full disk, and run the command again."
            )
        drop_stdout()


def drop_stdout() -> None:
    """Discard the buffer of stdout and everything that is written to stdout later."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def expect_answer() -> None:
    """Reset :func:`has_answered` and :func:`answer_is_lost` to False; called when a command starts."""
    global _answered, _lost
    _answered = _lost = False


def has_answered() -> bool:
    """Return whether the command has printed its result. Errors after the result are written to stderr only."""
    return _answered


def answer_is_lost() -> bool:
    """Return whether the command failed to write its complete result to stdout."""
    return _lost
