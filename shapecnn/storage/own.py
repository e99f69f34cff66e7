"""Protect the user's files in output folders: replace or remove only unchanged files that shapecnn wrote itself.

The hash of a file shows that shapecnn wrote it and that it has not changed since. ``SHA256SUMS`` lists the hashes of
finished output. The mark file in a folder of unfinished work lists the hashes of the files that an interrupted command
wrote. shapecnn neither overwrites nor removes any other file, unless the user passes ``--overwrite``.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from shapecnn.errors import UsageError, visible
from shapecnn.storage.checksums import SUMS
from shapecnn.storage.collisions import fold_name
from shapecnn.storage.kinds import KIND_FILES, Published, is_kind_file
from shapecnn.storage.publishing import (
    LOCK,
    FileHashes,
    digest_among,
    exclusive,
    publish,
    published,
    written_hashes,
)
from shapecnn.storage.unfinished import RESUME, WORK, WORKS, claim, discard, is_claimed, record_hash
from shapecnn.workers.progress import stage

COMPANIONS = {
    "settings.json": ("manifest.parquet",),
    "model.json": ("model.safetensors", "gallery.safetensors", "split.json", "config.yaml", "metrics.jsonl"),
    "index.json": ("shapes.parquet", "features.safetensors", "failures.parquet", "inverted.safetensors"),
    "evaluation.json": (
        "report.html",
        "predictions.parquet",
        "pr.svg",
        "confusion.svg",
        "reliability.svg",
        "regression.svg",
    ),
    "audit.json": ("audit.html", "audit.csv"),
    "comparison.json": ("report.html", "comparison.csv", "comparison.md", "pr.svg", "pr.png"),
    "ladder.json": ("report.html", "ladder.csv", "pr.svg", "pr.png"),
}
"""Names of the other files that shapecnn writes beside each of :data:`KIND_FILES`, without the views or voxel grids."""

_NAMES: dict[Published, str] = {
    "artefacts": "artefacts",
    "run": "a run",
    "index": "an index",
    "report": "a report",
    "audit": "an audit",
    "comparison": "a comparison",
    "ladder": "a report of the ladder",
}

_IGNORED = {LOCK, "tensorboard", ".DS_Store", "lost+found"}  # a folder that holds only these files counts as empty


def require_own(kind_file: str, folder: Path, overwrite: bool = False) -> None:
    """Raise UsageError unless an output folder is absent, empty, or holds an earlier output of the same kind.

    Args:
        kind_file: Name of the file that identifies the kind of the output, from :data:`KIND_FILES`, such as
            ``index.json``.
        folder: The output folder.
        overwrite: Accept a folder with files that shapecnn did not write. An output of another kind is still refused.

    Raises:
        UsageError: The folder holds an output of another kind, or only files that shapecnn did not write; or the path
            is a file.
    """
    for name, kind in KIND_FILES.items():
        if name != kind_file and is_kind_file(folder / name) and (name in written_hashes(folder) or not overwrite):
            raise UsageError(f"The output folder {folder} already holds {_NAMES[kind]}. Choose another folder.")
    if overwrite or not folder.exists():
        return
    if not folder.is_dir():
        raise UsageError(f"The output {folder} is a file. Choose a folder.")
    names = sorted(path.name for path in folder.iterdir() if path.name not in _IGNORED and not _is_work(path))
    if names and not written_hashes(folder):
        outputs = {kind_file, SUMS, *COMPANIONS[kind_file]}
        first = next((name for name in names if name in outputs), names[0])
        raise UsageError(
            f"{folder} holds {_and_more(first, len(names))}, which shapecnn did not write. Choose an empty folder, or "
            f"add --overwrite to write into this folder anyway and replace files of the same name."
        )


def require_unchanged(folder: Path, names: Iterable[str], overwrite: bool = False) -> dict[str, str]:
    """Raise UsageError if the output would overwrite or remove a file that a user created or edited.

    ``SHA256SUMS`` is checked, too.

    Args:
        folder: The output folder.
        names: Relative paths of the files that will be written or removed.
        overwrite: Accept files that shapecnn did not write or that have changed. A link or a file in place of a
            subfolder that the output needs is still refused.

    Returns:
        The existing unchanged files that shapecnn wrote: relative path, mapped to the SHA-256 hash (hex).

    Raises:
        UsageError: shapecnn did not write a file, or the file has changed; or a link or a file is in place of a
            subfolder that the output needs.
    """
    paths = sorted({*names, SUMS})
    missing = set()
    for parent in sorted(_subfolders(paths)):
        path = folder / parent
        if os.path.islink(path):
            raise UsageError(
                f"{path} is a link, and shapecnn does not write through links. Choose another folder, or replace the "
                f"link by a folder."
            )
        if not os.path.lexists(path):
            missing.add(str(parent))
        elif not os.path.isdir(path):
            raise UsageError(
                f"{path} is a file, but the output needs a folder of this name. Move the file away, and run again."
            )
    hashes = written_hashes(folder)
    hashes = {**hashes, **_respelt(folder, paths, hashes)}
    paths = [name for name in paths if _subfolder(name) not in missing]  # spares a look for each file of new output
    digests: dict[str, str | None] = {}
    with ThreadPoolExecutor(4) as readers, stage(f"Checking the files in {folder}", "files") as progress:
        # threads run in parallel here: hashing releases the GIL
        results = readers.map(lambda name: _own_digest(folder, name, hashes.get(name, set())), paths)
        for name, digest in zip(paths, results, strict=True):
            digests[name] = digest
            progress(len(digests), len(paths))
    foreign = [name for name, digest in digests.items() if digest is None]
    if foreign and not overwrite:
        raise UsageError(
            f"{folder} holds {_and_more(foreign[0], len(foreign))}, not written by shapecnn, or changed after shapecnn "
            f"wrote it. Move it away, or add --overwrite to replace it."
        )
    return {name: digest for name, digest in digests.items() if digest}


def remove_own(folder: Path, names: Iterable[str], hashes: FileHashes, current: Iterable[str] = ()) -> None:
    """Remove unchanged files that shapecnn wrote, and folders that are empty afterwards.

    Args:
        folder: The output folder.
        names: Relative paths of the files to remove; each is a key of ``hashes``. Changed files stay.
        hashes: Hashes of the files that shapecnn wrote, from :func:`shapecnn.storage.publishing.written_hashes`.
        current: Relative paths of the files of the new output, which must stay. On a file system that ignores case,
            ``names`` may contain one of these files in another spelling.

    Raises:
        OSError: A file cannot be removed.
    """
    stale = sorted(name for name in names if _own_digest(folder, name, hashes[name]))
    spellings = {fold_name(name): name for name in current} if stale else {}
    for name in stale:
        spelling = spellings.get(fold_name(name))
        if spelling is None or not _is_same_file(folder / name, folder / spelling):
            (folder / name).unlink(missing_ok=True)  # missing if removed under another spelling
    for parent in sorted(_subfolders(stale), reverse=True):
        with contextlib.suppress(OSError):  # it holds other files
            (folder / parent).rmdir()


def remove_all_own(folder: Path) -> None:
    """Remove all unchanged files that shapecnn wrote into a folder, including unfinished work.

    Args:
        folder: The output folder. The caller has locked it with :func:`shapecnn.storage.publishing.exclusive`.

    Raises:
        OSError: A file cannot be removed.
    """
    hashes = written_hashes(folder)
    remove_own(folder, hashes.keys() - {SUMS}, hashes)
    remove_own(folder, {SUMS} & hashes.keys(), hashes)
    for work in (WORK, RESUME):
        if is_claimed(folder / work):
            discard(folder / work)


def require_report(kind_file: str, folder: Path, overwrite: bool = False) -> None:
    """Raise UsageError unless a report can be written into a folder; call this before computing the report.

    Args:
        kind_file: Name of the file that identifies the kind of the report, from :data:`KIND_FILES`.
        folder: The output folder.
        overwrite: Accept files that shapecnn did not write.

    Raises:
        UsageError: The folder holds another kind of output, or files that shapecnn did not write or that have changed;
            see :func:`require_own` and :func:`require_unchanged`.
    """
    require_own(kind_file, folder, overwrite)
    require_unchanged(folder, (kind_file, *COMPANIONS[kind_file]), overwrite)


def publish_report(kind_file: str, folder: Path, files: Mapping[str, bytes], overwrite: bool = False) -> None:
    """Write all files of a report into a folder and remove the files of an earlier report.

    Args:
        kind_file: Name of the file that identifies the kind of the report, from :data:`KIND_FILES`.
        folder: The output folder, which is created if missing.
        files: Content of each file, by file name.
        overwrite: Replace files of the same names that shapecnn did not write or that have changed.

    Raises:
        BusyError: Another process is writing to the folder.
        UsageError: The folder holds another kind of output, or files that shapecnn did not write or that have changed;
            see :func:`require_own` and :func:`require_unchanged`.
        OSError: A file cannot be written.
    """
    require_own(kind_file, folder, overwrite)
    with exclusive(folder, overwrite):
        require_unchanged(folder, files, overwrite)
        hashes = written_hashes(folder)
        stale = hashes.keys() - {SUMS, *files}
        claim(folder / WORK)
        for name in stale:  # if the process dies, the next command still recognizes the stale files as shapecnn's
            for digest in hashes[name]:
                record_hash(folder / WORK, name, digest)
        publish(folder, files)
        remove_own(folder, stale, hashes)
        discard(folder / WORK)


def _is_work(path: Path) -> bool:
    return path.name in WORKS and is_claimed(path)


def _subfolder(name: str) -> str:
    """Return the folder of a relative path; "" for the output folder itself."""
    return name.rpartition("/")[0]


def _subfolders(names: Iterable[str]) -> set[PurePosixPath]:
    """Return the folders of relative paths and the folders around them, without the output folder itself."""
    folders = {PurePosixPath(folder) for folder in {_subfolder(name) for name in names} if folder}
    return {folder for inner in folders for folder in (inner, *inner.parents) if folder.name}


def _own_digest(folder: Path, name: str, digests: set[str]) -> str | None:
    """Return the hash of a file if ``digests`` contains the hash, "" if the file is missing, otherwise None."""
    path = published(folder, name)
    if not os.path.lexists(path):  # also False for a name that is too long for the file system
        return ""
    return digest_among(path, digests)


def _respelt(folder: Path, names: Iterable[str], hashes: FileHashes) -> FileHashes:
    """Return the hashes of files that shapecnn wrote under names that differ from ``names`` only in case or accents.

    The result is empty on a file system that distinguishes such names.
    """
    unlisted = [name for name in names if name not in hashes and os.path.lexists(folder / name)]
    spellings = {fold_name(name): name for name in hashes} if unlisted else {}
    former = {name: spellings[fold_name(name)] for name in unlisted if fold_name(name) in spellings}
    return {name: hashes[old] for name, old in former.items() if _is_same_file(folder / name, folder / old)}


def _is_same_file(path: Path, other: Path) -> bool:
    try:
        return os.path.samefile(path, other)
    except OSError:
        return False


def _and_more(name: str, count: int) -> str:
    return visible(name) + (f" and {count - 1} more" if count > 1 else "")
