"""What every command says and where: data on stdout, messages and progress on stderr."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Iterable

import click

from shapecnn.errors import encodable, visible

SCHEMA_VERSION = 1


_answered = False  # by this process
_lost = False  # the answer, at least in part
_QUIET = "shapecnn.quiet"  # key in click's meta, which a command shares with its group


def say(message: str) -> None:
    """A message of one line for the person, on stderr: what went wrong."""
    click.echo(visible(message), err=True)


def note(message: str) -> None:
    """A message that --quiet silences: what was done, where, and what is worth knowing."""
    if not is_quiet():
        say(message)


def be_quiet() -> None:
    """Neither progress nor notes from here on, to the end of the command."""
    click.get_current_context().meta[_QUIET] = True


def is_quiet() -> bool:
    """Whether the running command was given --quiet."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(_QUIET))


def emit(value: object, as_json: bool, lines: Iterable[str] = ()) -> None:
    """The answer on stdout: one JSON value, or lines for people.

    Args:
        value: What JSON can hold.
        as_json: Whether it is asked for.
        lines: Each stays one line, whatever line ends and control characters the names in it hold: no name can pass for
            a line of its own.
    """
    global _answered, _lost  # a process runs one command
    _answered = True
    # in ASCII, which every locale can print
    texts = [json.dumps(encodable(value), allow_nan=False)] if as_json else map(visible, lines)
    try:
        for text in texts:
            click.echo(text)
    except OSError as error:  # what else was asked for is written
        _lost = True
        if error.errno != errno.EPIPE:  # else its reader has left, as `head` does
            say(f"Error: the answer could not be written: {error.strerror}. Make room and run the command again.")
        drop_stdout()


def drop_stdout() -> None:
    """Nothing more is written there, nor what is held back."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def expect_answer() -> None:
    """None was given yet: a command begins."""
    global _answered, _lost
    _answered = _lost = False


def answered() -> bool:
    """Whether the answer was given; what fails after it, such as a page, is told on stderr alone."""
    return _answered


def lost() -> bool:
    """Whether the answer could not be written to its end."""
    return _lost
