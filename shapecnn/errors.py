"""Exceptions with messages for people: each names what is wrong, where, and what to do.

::

    ShapecnnError               exit status 1, something failed
    ├── UsageError              exit status 2, a wrong option, path or config key
    │   ├── CollectionError     the collection cannot be listed, or two of its shapes collide
    │   └── MismatchError       stored artefacts were made with other settings
    ├── ItemError               one item of a batch cannot be used; the batch records it and goes on
    │   ├── MeshError           a file cannot be used as a mesh
    │   ├── PictureError        a file cannot be used as a picture
    │   └── WorkerError         the worker process crashed, or ran out of time or memory
    ├── ProcessError            a worker process cannot be started
    ├── MissingLibraryError     a Python package or system library is absent or broken
    ├── WeightsError            pretrained weights are not available
    ├── TrainingError           the training diverged
    ├── DownloadError           a download failed
    ├── ArchiveError            a zip is unsafe or damaged
    ├── StoredDataError         a stored artefact, run or index is damaged or from another version
    └── BusyError               another process is writing to the same output

Only ``shapecnn.cli`` turns them into exit statuses. The functions below make text from files safe to print.
"""

from __future__ import annotations

import errno
import re
from typing import Any


class ShapecnnError(Exception):
    """Base class of all errors meant for people; ``kind`` is the stable name that programs read in JSON."""

    kind = "error"


class UsageError(ShapecnnError):
    """The request is wrong: a bad option, path or config key. No work was started."""

    kind = "usage"


class CollectionError(UsageError):
    """The collection cannot be listed, or two of its shapes would write one output."""

    kind = "collection"


class MismatchError(UsageError):
    """Stored data was made with settings other than those requested."""

    kind = "mismatch"


class ItemError(ShapecnnError):
    """One item of a batch, such as the pictures or the grid of one shape, cannot be used; the batch goes on.

    ``kind`` is one of: count, format, size, empty.
    """

    def __init__(self, kind: str, message: str) -> None:
        message = visible(message)
        super().__init__(kind, message)  # both in args, so that the error can be pickled between processes
        self.kind = kind
        self.message = message

    def __str__(self) -> str:
        return self.message


class MeshError(ItemError):
    """A file cannot be used as a mesh.

    ``kind`` is one of: missing, unreadable, empty, format, truncated, not-finite, no-faces, index,
    degenerate, too-large, reference.
    """


class PictureError(ItemError):
    """A file cannot be used as a picture.

    ``kind`` is one of: missing, unreadable, empty, format, too-large, blank.
    """


class WorkerError(ItemError):
    """The worker process of an item crashed, raised an unexpected error, or ran out of time or memory.

    ``kind`` is one of: crashed, timeout, memory.
    """


class ProcessError(ShapecnnError):
    """A worker process cannot be started."""

    kind = "process"


class MissingLibraryError(ShapecnnError):
    """A Python package or system library is absent or cannot be loaded."""

    kind = "missing-library"


class WeightsError(ShapecnnError):
    """Pretrained weights are not available."""

    kind = "weights"


class TrainingError(ShapecnnError):
    """The training diverged: its loss or its weights are not finite."""

    kind = "training"


class DownloadError(ShapecnnError):
    """A download failed."""

    kind = "download"


class ArchiveError(ShapecnnError):
    """A zip is damaged, or contains paths outside the folder it is extracted to."""

    kind = "archive"


class StoredDataError(ShapecnnError):
    """A stored artefact, run or index is damaged or from another version."""

    kind = "stored-data"


class BusyError(ShapecnnError):
    """Another process is writing to the same output."""

    kind = "busy"


class Caution(UserWarning):
    """Warning that does not stop the work; the command line prints it on stderr."""


# Control characters, line ends, surrogates, and format characters that reorder or hide the text around them. Joiners
# (200c, 200d) are not included: names in Persian or Hindi need them.
_CONTROLS = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)


_SHORT_OF_MEMORY = re.compile(
    "failed to map segment from shared object|std::bad_alloc|CPUAllocator: (can't|not enough)"
)


def visible(text: str) -> str:
    r"""Escape characters that would break a line, move the cursor or hide text in a terminal.

    Args:
        text: Any text, such as a file name.

    Returns:
        The text with control characters, line ends, directional and invisible marks, and surrogates as escapes such as
        ``\x1b``.
    """
    return _CONTROLS.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


_SURROGATES = re.compile("[\ud800-\udfff]")


def encodable(value: Any) -> Any:
    r"""Escape surrogates in a JSON value, which most JSON readers refuse.

    Python puts them in file names for bytes that are not UTF-8.

    Args:
        value: A string, a number, None, or lists, tuples and dicts of these.

    Returns:
        The same value, in its strings and keys ``\xe9`` instead of a surrogate; tuples become lists.
    """
    if isinstance(value, str):
        return _SURROGATES.sub(lambda match: f"\\x{ord(match[0]) & 0xFF:02x}", value)
    if isinstance(value, dict):
        return {encodable(key): encodable(item) for key, item in value.items()}
    return [encodable(item) for item in value] if isinstance(value, list | tuple) else value


def counted(count: int, one: str, several: str | None = None) -> str:
    """Format a count with its noun, such as ``1 face`` or ``2 faces``.

    Args:
        count: The number.
        one: The noun in the singular.
        several: The noun in the plural; None appends an s to ``one``.

    Returns:
        The number and the noun.
    """
    return f"{count} {one if count == 1 else several or one + 's'}"


def quoted(name: str) -> str:
    """Quote a name from a file for a message.

    Args:
        name: Any text, such as a key or a file name.

    Returns:
        The name in quotes and on one line, cut to 80 characters.
    """
    return repr(name if len(name) <= 80 else f"{name[:79]}…")


def is_short_of_memory(error: BaseException) -> bool:
    """Tell whether an error means that memory ran out.

    Args:
        error: Raised by Python, the dynamic loader, torch or OpenVINO.

    Returns:
        True for a MemoryError, for the errno ENOMEM, and for the messages with which these libraries report it.
    """
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        return True
    return isinstance(error, ImportError | RuntimeError) and _SHORT_OF_MEMORY.search(str(error)) is not None


def reason(error: Exception) -> str:
    """Shorten the message of a library's exception for use in our own.

    Args:
        error: Raised by a library; its message may quote the file.

    Returns:
        Its message, or its type where that is empty: on one line, cut to 160 characters.
    """
    text = str(error) or type(error).__name__
    return visible(text if len(text) <= 160 else f"{text[:159]}…")
