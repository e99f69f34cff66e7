"""What has to hold of every outcome, and the error of one of which it does not."""

from __future__ import annotations

from shapecnn.errors import ShapecnnError, visible

LONGEST = 400  # characters of a message: a sentence or two
KINDS = frozenset({
    "missing", "unreadable", "empty", "format", "truncated", "not-finite", "no-faces", "index", "degenerate",
    "too-large", "reference", "count", "size", "blank", "collection", "usage", "mismatch", "archive", "stored-data",
})  # fmt: skip


class Finding(AssertionError):  # noqa: N818
    """An input was neither read nor refused as it should be."""


def require(holds: object, what: str) -> None:
    if not holds:
        raise Finding(what)


def refused(error: ShapecnnError) -> str:
    """The outcome of an input that was refused, once its message is one that a person can read on a terminal."""
    message = str(error)
    require(error.kind in KINDS, f"unknown kind {error.kind!r}")
    require(message and len(message) <= LONGEST, f"a message of {len(message)} characters: {message[:200]!r}…")
    require(visible(message) == message, f"the message is no line of text: {message!r}")
    require("Traceback" not in message and "Error:" not in message, f"the message shows Python's insides: {message!r}")
    if "not enough memory" in message:
        raise Finding("a small file is said to need more memory than there is")
    return f"refused: {error.kind}"
