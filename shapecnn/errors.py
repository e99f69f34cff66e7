"""Everything shapecnn raises on purpose, one sentence each: what, where, what to do.

::

    ShapecnnError               exit status 1, something failed
    ├── UsageError              exit status 2, a bad option, path or config key
    │   ├── CollectionError     the collection cannot be listed, or two of its shapes collide
    │   └── MismatchError       stored artefacts were made with other settings
    ├── ItemError               one item of a batch cannot be used; batches record it and go on
    │   ├── MeshError           one file cannot be used as a mesh
    │   ├── PictureError        one file cannot be used as a picture
    │   └── WorkerError         the process working on it died, or ran out of time or memory
    ├── ProcessError            a process to work in cannot be started
    ├── MissingLibraryError     a Python package or system library is absent or broken
    ├── WeightsError            pretrained weights cannot be had
    ├── TrainingError           the loss became no number
    ├── DownloadError           a server did not deliver what was asked
    ├── ArchiveError            a zip is unsafe or damaged
    ├── StoredDataError         an artefact, run or index on disk is damaged or from another version
    └── BusyError               another process is writing the same output

Only ``shapecnn.cli`` turns these into exit statuses.
"""

from __future__ import annotations

import errno
import re
from typing import Any


class ShapecnnError(Exception):
    """Base of all errors meant for people; ``kind`` is the stable name programs read in JSON."""

    kind = "error"


class UsageError(ShapecnnError):
    """The request itself is wrong; nothing was started."""

    kind = "usage"


class CollectionError(UsageError):
    """The collection cannot be listed, or two of its shapes would write one output."""

    kind = "collection"


class MismatchError(UsageError):
    """What is stored was made with other settings than the ones asked for."""

    kind = "mismatch"


class ItemError(ShapecnnError):
    """One item of a batch, such as the pictures or the grid of one shape, cannot be used; the others can.

    ``kind`` is one of: count, format, size, empty.
    """

    def __init__(self, kind: str, message: str) -> None:
        message = visible(message)
        super().__init__(kind, message)  # both in args, so that the error survives a trip between processes
        self.kind = kind
        self.message = message

    def __str__(self) -> str:
        return self.message


class MeshError(ItemError):
    """One file cannot be used as a mesh.

    ``kind`` is one of: missing, unreadable, empty, format, truncated, not-finite, no-faces, index,
    degenerate, too-large, reference.
    """


class PictureError(ItemError):
    """One file cannot be used as a picture.

    ``kind`` is one of: missing, unreadable, empty, format, too-large, blank.
    """


class WorkerError(ItemError):
    """The process working on it died or met a bug, or ran out of time or memory.

    ``kind`` is one of: crashed, timeout, memory.
    """


class ProcessError(ShapecnnError):
    """A process to work in cannot be started."""

    kind = "process"


class MissingLibraryError(ShapecnnError):
    """A Python package or system library is absent or does not load."""

    kind = "missing-library"


class WeightsError(ShapecnnError):
    """Pretrained weights cannot be had."""

    kind = "weights"


class TrainingError(ShapecnnError):
    """A training went astray: its loss or its weights are no numbers."""

    kind = "training"


class DownloadError(ShapecnnError):
    """A server did not deliver what was asked."""

    kind = "download"


class ArchiveError(ShapecnnError):
    """A zip is damaged, or holds paths that would leave the folder it is unpacked into."""

    kind = "archive"


class StoredDataError(ShapecnnError):
    """An artefact, run or index on disk is damaged or from another version."""

    kind = "stored-data"


class BusyError(ShapecnnError):
    """Another process is writing the same output."""

    kind = "busy"


class Caution(UserWarning):
    """What a person should know and what stops nothing: the command line says it on stderr."""


# Control characters, line ends, half characters, and format characters that turn or hide what is beside them. Joiners
# (200c, 200d) are not among them: names in Persian or Hindi need them.
_CONTROLS = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)


_SHORT_OF_MEMORY = re.compile(
    "failed to map segment from shared object|std::bad_alloc|CPUAllocator: (can't|not enough)"
)


def visible(text: str) -> str:
    """Text that stays on its line, moves no cursor and reads as it is: control characters, line ends, directional and
    invisible marks, and halves of characters are written as ``\\x1b``."""
    return _CONTROLS.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


_HALVES = re.compile("[\ud800-\udfff]")


def encodable(value: Any) -> Any:
    """A value of JSON with what is half a character, a byte of a file name that is not UTF-8, written as ``\\xe9``.

    JSON cannot hold it: what Python would write most other readers refuse.
    """
    if isinstance(value, str):
        return _HALVES.sub(lambda half: f"\\x{ord(half[0]) & 0xFF:02x}", value)
    if isinstance(value, dict):
        return {encodable(key): encodable(item) for key, item in value.items()}
    return [encodable(item) for item in value] if isinstance(value, list | tuple) else value


def counted(count: int, one: str, several: str | None = None) -> str:
    """``1 face``, ``2 faces``; ``several`` where that is not ``one`` with an s."""
    return f"{count} {one if count == 1 else several or one + 's'}"


def quoted(name: str) -> str:
    """A name out of a file as a message may hold it: in quotes, on one line, and not endless."""
    return repr(name if len(name) <= 80 else f"{name[:79]}…")


def is_short_of_memory(error: BaseException) -> bool:
    """Whether memory was too short, in whichever words Python, the loader of libraries, torch or OpenVINO say so."""
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        return True
    return isinstance(error, ImportError | RuntimeError) and _SHORT_OF_MEMORY.search(str(error)) is not None


def reason(error: Exception) -> str:
    """What a library says of a file, as a message may hold it: on one line, and not all of the file."""
    text = str(error) or type(error).__name__
    return visible(text if len(text) <= 160 else f"{text[:159]}…")
