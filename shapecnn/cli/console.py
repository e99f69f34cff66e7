"""Output of the commands: answers on stdout; messages and progress on stderr."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Iterable

import click

from shapecnn.errors import encodable, visible

SCHEMA_VERSION = 1


_answered = False  # whether the command has printed its answer
_lost = False  # whether printing the answer failed
_QUIET = "shapecnn.quiet"  # key in click's meta, which a command shares with its group


def say(message: str) -> None:
    """Print a message of one line to stderr, also with --quiet."""
    click.echo(visible(message), err=True)


def note(message: str) -> None:
    """Print a message of one line to stderr, unless --quiet is set."""
    if not is_quiet():
        say(message)


def be_quiet() -> None:
    """Turn off progress and notes until the command ends."""
    click.get_current_context().meta[_QUIET] = True


def is_quiet() -> bool:
    """Whether the running command has --quiet set."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(_QUIET))


def emit(value: object, as_json: bool, lines: Iterable[str] = ()) -> None:
    """Print the answer of a command on stdout: one JSON value, or lines of text.

    A failure to write is reported on stderr and remembered for :func:`answer_is_lost`.

    Args:
        value: Answer for JSON: dicts, lists, strings, finite numbers, booleans and None.
        as_json: Print ``value`` as JSON instead of ``lines``.
        lines: Answer as text. Line ends and control characters in a line are escaped, so that a file name cannot forge
            a line of its own.
    """
    global _answered, _lost  # a process runs one command
    _answered = True
    # JSON in ASCII, which every locale can print
    texts = [json.dumps(encodable(value), allow_nan=False)] if as_json else map(visible, lines)
    try:
        for text in texts:
            click.echo(text)
    except OSError as error:  # not fatal: reports and pages are still to be written
        _lost = True
        if error.errno != errno.EPIPE:  # a reader such as `head` may close the pipe early
            say(f"Error: the answer could not be written: {error.strerror}. Make room and run the command again.")
        drop_stdout()


def drop_stdout() -> None:
    """Discard everything that is written to stdout from now on, including its buffer."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def expect_answer() -> None:
    """Reset the state of the answer at the start of a command."""
    global _answered, _lost
    _answered = _lost = False


def has_answered() -> bool:
    """Whether the command has printed its answer; later failures, such as of a report, go to stderr only."""
    return _answered


def answer_is_lost() -> bool:
    """Whether the answer could not be written completely."""
    return _lost
