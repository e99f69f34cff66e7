"""What in an output folder is shapecnn's own: the files it wrote, as long as they are what it wrote.

They are known by their hashes: those in ``SHA256SUMS`` of what was published, and those noted in the mark of unfinished
work of what was put beside it since. Everything else belongs to somebody, and is neither overwritten nor removed unless
a person insists.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from shapecnn.errors import UsageError, visible
from shapecnn.storage.checksums import SUMS
from shapecnn.storage.collisions import folded
from shapecnn.storage.publishing import (
    HOLDS,
    LOCK,
    RESUME,
    WORK,
    WORKS,
    Kind,
    Written,
    claim,
    digest_among,
    discard,
    exclusive,
    is_claimed,
    is_told,
    note_written,
    publish,
    published,
    written,
)
from shapecnn.workers.progress import stage

WRITES = {
    "settings.json": ("manifest.parquet",),
    "model.json": ("model.safetensors", "gallery.safetensors", "split.json", "config.yaml", "metrics.jsonl"),
    "index.json": ("shapes.parquet", "features.safetensors", "failures.parquet"),
    "evaluation.json": ("report.html", "predictions.parquet", "pr.svg", "confusion.svg", "reliability.svg"),
    "audit.json": ("audit.html", "audit.csv"),
    "comparison.json": ("report.html", "comparison.csv", "comparison.md", "pr.svg", "pr.png"),
}
"""What is written beside the file that tells what a folder holds, artefacts aside."""

_NAMES: dict[Kind, str] = {
    "artefacts": "artefacts",
    "run": "a run",
    "index": "an index",
    "report": "a report",
    "audit": "an audit",
    "comparison": "a comparison",
}

_NOBODYS = {LOCK, "tensorboard", ".DS_Store", "lost+found"}  # in a folder that counts as empty


def require_own(own: str, folder: Path, overwrite: bool = False) -> None:
    """Raise UsageError unless ``folder`` is absent, empty, or made by the command whose file is called ``own``.

    With ``overwrite`` it may hold somebody's files as well.
    """
    for name, kind in HOLDS.items():
        if name != own and is_told(folder / name) and (name in written(folder) or not overwrite):
            raise UsageError(
                f"{folder} holds {_NAMES[kind]}, which this would be mixed with. Choose a folder of its own."
            )
    if overwrite or not folder.exists():
        return
    if not folder.is_dir():
        raise UsageError(f"{folder} is a file. Choose a folder.")
    theirs = sorted(path.name for path in folder.iterdir() if path.name not in _NOBODYS and not _is_work(path))
    if theirs and not written(folder):
        own_names = {own, SUMS, *WRITES[own]}
        first = next((name for name in theirs if name in own_names), theirs[0])
        raise UsageError(
            f"{folder} holds {_told(first, len(theirs))}, which shapecnn did not write. Choose an empty folder, or add "
            f"--overwrite to write there all the same and replace what is in the way."
        )


def require_unchanged(folder: Path, names: Iterable[str], overwrite: bool = False) -> dict[str, str]:
    """Raise UsageError unless each file of these names is absent, or shapecnn's own and as it was written; and
    ``SHA256SUMS``, which is written with any of them.

    With ``overwrite`` only for what no file can replace: a link in the place of a folder, or a file.

    Returns:
        The SHA-256 of each file that is there and as it was written.
    """
    asked = sorted({*names, SUMS})
    for parent in sorted({parent for name in asked for parent in PurePosixPath(name).parents}):
        path = folder / parent
        if parent.name and os.path.islink(path):
            raise UsageError(
                f"{path} is a link, and nothing is written through one. Choose another folder, or put a folder in the "
                f"place of the link."
            )
        if os.path.lexists(path) and not os.path.isdir(path):
            raise UsageError(f"{path} is a file where a folder has to be. Move it away and run again.")
    known = written(folder)
    known = {**known, **_renamed(folder, asked, known)}
    kept = {}
    with ThreadPoolExecutor(4) as readers, stage(f"Checking what is in {folder}", "files") as progress:
        found = readers.map(lambda name: _kept(folder, name, known.get(name, set())), asked)  # hashes without the lock
        for name, digest in zip(asked, found, strict=True):
            kept[name] = digest
            progress(len(kept), len(asked))
    theirs = [name for name, digest in kept.items() if digest is None]
    if theirs and not overwrite:
        raise UsageError(
            f"{folder} holds {_told(theirs[0], len(theirs))}, which shapecnn did not write or which has changed since. "
            f"Move it away, or add --overwrite to replace it."
        )
    return {name: digest for name, digest in kept.items() if digest}


def remove_own(folder: Path, names: Iterable[str], known: Written, current: Iterable[str] = ()) -> None:
    """Remove those files that are as they were written, and are none of the ``current`` ones under another name."""
    gone = sorted(name for name in names if _kept(folder, name, known[name]))
    staying = {folded(name): name for name in current} if gone else {}
    for name in gone:
        stays = staying.get(folded(name))
        if stays is None or not _is_one(folder / name, folder / stays):
            (folder / name).unlink(missing_ok=True)  # of two spellings, both may be gone
    for parent in sorted({parent for name in gone for parent in PurePosixPath(name).parents}, reverse=True):
        if parent.name:
            with contextlib.suppress(OSError):  # something else is there still
                (folder / parent).rmdir()


def start_anew(folder: Path) -> None:
    """Remove all of ``folder`` that shapecnn wrote, finished or not."""
    known = written(folder)
    remove_own(folder, known.keys() - {SUMS}, known)
    remove_own(folder, {SUMS} & known.keys(), known)
    for work in (WORK, RESUME):
        if is_claimed(folder / work):
            discard(folder / work)


def require_report(own: str, folder: Path, overwrite: bool = False) -> None:
    """Raise UsageError unless a report may be written into ``folder``, before anything is computed for it."""
    require_own(own, folder, overwrite)
    require_unchanged(folder, (own, *WRITES[own]), overwrite)


def publish_report(own: str, folder: Path, files: Mapping[str, bytes], overwrite: bool = False) -> None:
    """Publish the files of a report, in the place of an earlier one.

    Raises BusyError if another process is writing there, UsageError as :func:`require_own` and
    :func:`require_unchanged` do.
    """
    require_own(own, folder, overwrite)
    with exclusive(folder, overwrite):
        require_unchanged(folder, files, overwrite)
        known = written(folder)
        stale = known.keys() - {SUMS, *files}
        claim(folder / WORK)
        for name in stale:  # so that they stay our own until they are removed
            for digest in known[name]:
                note_written(folder / WORK, name, digest)
        publish(folder, files)
        remove_own(folder, stale, known)
        discard(folder / WORK)


def _is_work(path: Path) -> bool:
    return path.name in WORKS and is_claimed(path)


def _kept(folder: Path, name: str, digests: set[str]) -> str | None:
    """The hash of a file that is as it was written; empty for one that is absent; None for any other."""
    path = published(folder, name)
    if not os.path.lexists(path):  # or its name is too long for a file
        return ""
    return digest_among(path, digests)


def _renamed(folder: Path, names: Iterable[str], known: Written) -> Written:
    """What was written into those files that are there under a known name spelt otherwise, as on file systems that
    ignore case.
    """
    there = [name for name in names if name not in known and os.path.lexists(folder / name)]
    spelt = {folded(name): name for name in known} if there else {}
    former = {name: spelt[folded(name)] for name in there if folded(name) in spelt}
    return {name: known[old] for name, old in former.items() if _is_one(folder / name, folder / old)}


def _is_one(path: Path, other: Path) -> bool:
    try:
        return os.path.samefile(path, other)
    except OSError:
        return False


def _told(name: str, count: int) -> str:
    return visible(name) + (f" and {count - 1} more" if count > 1 else "")
