"""Exceptions whose messages tell the user what is wrong, where, and what to do.

::

    ShapecnnError               exit status 1, something failed
    ├── UsageError              exit status 2, wrong option, path or config key
    │   ├── CollectionError     the collection cannot be listed, or two of its shapes need the same file
    │   └── MismatchError       stored artefacts were made with other settings
    ├── ItemError               one item of a batch cannot be used; the batch records the error and goes on
    │   ├── MeshError           a file cannot be used as a mesh
    │   ├── PictureError        a file cannot be used as a picture
    │   └── WorkerError         the worker process crashed, or ran out of time or memory
    ├── ProcessError            a worker process cannot be started
    ├── ClusterError            a cluster of machines cannot be reached, or has lost a task too often
    ├── MissingLibraryError     a Python package or system library is absent or broken
    ├── WeightsError            pretrained weights are not available
    ├── TrainingError           the training diverged
    ├── DownloadError           a download failed
    ├── ObjectStoreError        an object store (s3://, gs://, az://) cannot be reached, or refuses
    ├── ArchiveError            a zip is unsafe or damaged
    ├── StoredDataError         a stored artefact, run or index is damaged or from another version
    └── BusyError               another process is writing to the same output

Only ``shapecnn.cli`` turns exceptions into exit statuses. The functions of this module make text that comes from files
safe to print.
"""

from __future__ import annotations

import errno
import re
import warnings
from typing import Any


class ShapecnnError(Exception):
    """Base class of all errors whose message is shown to the user; ``kind`` is the stable error name in JSON output."""

    kind = "error"


class UsageError(ShapecnnError):
    """An option, path or config key is wrong. The error is raised before any work starts."""

    kind = "usage"


class CollectionError(UsageError):
    """A collection of meshes cannot be listed, or two of its shapes would be written to the same output file."""

    kind = "collection"


class MismatchError(UsageError):
    """The settings that stored data was made with differ from the requested settings."""

    kind = "mismatch"


class ItemError(ShapecnnError):
    """One item of a batch, such as the pictures or the grid of one shape, cannot be used. The batch goes on without it.

    ``count``: views are missing, too many, or occur twice. ``size``: the picture or grid has another size than those of
    most shapes.

    ``kind`` is one of: count, format, size, empty.
    """

    def __init__(self, kind: str, message: str) -> None:
        message = visible(message)
        super().__init__(kind, message)  # both arguments, so that the error can be pickled and sent between processes
        self.kind = kind
        self.message = message

    def __str__(self) -> str:
        return self.message


class MeshError(ItemError):
    """A file cannot be used as a mesh.

    The kind is ``index`` if a number in the file refers to a vertex or another element that does not exist, and
    ``reference`` if the file refers to another file or buffer that cannot be used.

    ``kind`` is one of: missing, unreadable, empty, format, truncated, not-finite, no-faces, index,
    degenerate, too-large, reference.
    """


class PictureError(ItemError):
    """A file cannot be used as a picture.

    ``kind`` is one of: missing, unreadable, empty, format, too-large, blank.
    """


class WorkerError(ItemError):
    """The worker process of one item of a batch crashed, raised an unexpected error, or ran out of time or memory.

    ``kind`` is one of: crashed, timeout, memory.
    """


class ProcessError(ShapecnnError):
    """A worker process cannot be started."""

    kind = "process"


class ClusterError(ShapecnnError):
    """A cluster of machines cannot be reached, or a task on it was lost too often."""

    kind = "cluster"


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


class ObjectStoreError(ShapecnnError):
    """An object store cannot be reached, refuses a request, or failed at each attempt.

    ``may_pass``: whether another attempt may succeed.
    """

    kind = "object-store"

    def __init__(self, message: str, may_pass: bool = False) -> None:
        super().__init__(message)
        self.may_pass = may_pass


class ArchiveError(ShapecnnError):
    """A zip file is damaged, or contains paths outside the folder that it is extracted to."""

    kind = "archive"


class StoredDataError(ShapecnnError):
    """Stored artefacts (rendered views or voxel grids), a run or an index are damaged or from another version."""

    kind = "stored-data"


class BusyError(ShapecnnError):
    """Another process is writing to the same output."""

    kind = "busy"


class Caution(UserWarning):
    """Warning to the user that does not stop the work. The command line prints the warning on stderr."""


def caution(message: str) -> None:
    """Show a note to the user as a Python warning: the default of the ``say`` callbacks of the Python interface.

    Args:
        message: The note, in one line.
    """
    warnings.warn(visible(message), Caution, stacklevel=3)


# Characters that are unsafe to print: control characters, line ends, surrogates, and format characters that reorder or
# hide the text around them. Joiners (200c, 200d) are not included: names in Persian or Hindi need them.
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
        The text, with an escape such as ``\x1b`` in place of each control character, line end, directional or invisible
        mark, and surrogate.
    """
    return _CONTROLS.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


_SURROGATES = re.compile("[\ud800-\udfff]")


def encodable(value: Any) -> Any:
    r"""Escape surrogate characters (U+D800 to U+DFFF) in a JSON value, because most JSON readers refuse them.

    Python puts a surrogate into a file name for each byte that is not valid UTF-8.

    Args:
        value: A string, a number, None, or lists, tuples and dicts of these.

    Returns:
        A copy of the value: surrogates in strings and keys become escapes such as ``\xe9``, tuples become lists.
    """
    if isinstance(value, str):
        return _SURROGATES.sub(lambda match: f"\\x{ord(match[0]) & 0xFF:02x}", value)
    if isinstance(value, dict):
        return {encodable(key): encodable(item) for key, item in value.items()}
    return [encodable(item) for item in value] if isinstance(value, list | tuple) else value


def counted(count: int, one: str, several: str | None = None) -> str:
    """Format a count with its noun, such as ``1 face`` or ``2 faces``.

    Args:
        count: Number of items.
        one: Singular of the noun.
        several: Plural of the noun; None appends an s to ``one``.

    Returns:
        The number and the noun, separated by a space.
    """
    return f"{count} {one if count == 1 else several or one + 's'}"


def quoted(name: str) -> str:
    """Quote a name that comes from a file, for use in a message.

    Args:
        name: Any text, such as a key or a file name.

    Returns:
        The name in quotes, on one line, cut to 80 characters.
    """
    return repr(name if len(name) <= 80 else f"{name[:79]}…")


def is_short_of_memory(error: BaseException) -> bool:
    """Return whether an exception means that memory ran out.

    Args:
        error: Exception raised by Python, the dynamic loader, torch or OpenVINO.

    Returns:
        True for a MemoryError, for the errno ENOMEM, and for known out-of-memory messages of these libraries.
    """
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        return True
    return isinstance(error, ImportError | RuntimeError) and _SHORT_OF_MEMORY.search(str(error)) is not None


def reason(error: Exception) -> str:
    """Shorten the message of a library's exception, so that a message of shapecnn can quote it.

    Args:
        error: Exception raised by a library; its message may contain text from a file.

    Returns:
        The message, or the name of the exception's type if the message is empty, on one line, cut to 160 characters.
    """
    text = str(error) or type(error).__name__
    return visible(text if len(text) <= 160 else f"{text[:159]}…")
