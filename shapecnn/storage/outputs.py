"""Write an output folder wherever the user wants it: a local folder as it is, a URL by way of a work folder.

A command writes a URL as it writes a local folder: into a work folder in the cache, to which the published version was
brought before. At the end, the work folder is published and removed. After an interruption the work folder stays, and
the same command on the same machine continues there.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal

from shapecnn.errors import BusyError, ShapecnnError, UsageError, quoted
from shapecnn.storage.caches import cache_folder
from shapecnn.storage.checksums import SUMS, parse_sums
from shapecnn.storage.objects.heads import FOLDER, DamagedError, latest_number
from shapecnn.storage.objects.snapshot import Snapshot, latest
from shapecnn.storage.objects.store import list_objects
from shapecnn.storage.objects.upload import upload
from shapecnn.storage.objects.url import Url
from shapecnn.storage.publishing import exclusive
from shapecnn.storage.reading import read_stored, sha256, sha256_of
from shapecnn.storage.unfinished import WORKS
from shapecnn.workers.progress import stage

Objects = Literal["files", "shards"]
"""How the views or grids of artefacts are stored at a URL: an object for each file, or tar shards of about 64 MB."""

Names = Callable[[Path], Mapping[str, str]]
"""Function that returns, for a finished local folder, the name in a tar shard of each file that may be packed."""

_WORK, _FILES = "unpublished", "files"  # the work folder unpublished/files/NAME has the name of the output
_BASE = "base"  # file in "unpublished": number of the version that is made, and what was brought (see _mark)


@contextmanager
def written(
    out: Path, *, overwrite: bool = False, objects: Objects | None = None, names: Names | None = None
) -> Iterator[Path]:
    """Give the local folder to write an output to, and publish it at the end if the output is a URL.

    Args:
        out: A local folder, or a URL.
        overwrite: Accept a URL with objects that shapecnn did not write, which stay; or with a damaged version, of
            which nothing is used.
        objects: How files are stored at a URL; None: as in the published version, or else ``files``.
        names: Function that names the files that may be packed into shards; None for no shards.

    Yields:
        ``out`` itself, or the work folder of the URL.

    Raises:
        UsageError: ``objects`` is given for a local folder; or there are other objects at the URL.
        BusyError: Another process is writing to the URL.
        ObjectStoreError: The store cannot be reached, or refuses.
    """
    if not isinstance(out, Url):
        if objects is not None:
            raise UsageError(
                f"--objects says how files are stored at a URL, but {out} is a local folder: leave it out."
            )
        yield out
        return
    place = cache_folder("objects") / "work" / sha256(str(out).encode())[:16]
    folder = place / _WORK / _FILES / out.name
    with ExitStack() as held:
        with _naming(out, place):
            held.enter_context(exclusive(place))
        base, number, is_new = _begin(out, folder, overwrite)
        try:
            with _naming(out, folder):
                yield folder
        except UsageError as error:
            if not is_new and _is_finished(folder, _mark(base, number)[2]):
                error.args = (f"{error} What a command made before, not published yet, is in {_moved(folder)}",)
            elif is_new and not _has_work(folder, _mark(base, number)[2]):
                _clear(folder)
            raise
        try:
            with _naming(out, folder):
                _publish(folder, out, base, number, objects, names)
        except BusyError as error:
            raise BusyError(f"{error} What this command made is in {_moved(folder)}") from None
        _clear(folder)


def _begin(url: Url, folder: Path, overwrite: bool) -> tuple[Snapshot | None, int, bool]:
    """Prepare the work folder: return the version to begin from, the number of the new one, and if the folder is new.

    If the version is damaged and ``overwrite`` is True, begin from nothing.
    """
    number = latest_number(url) + 1 if overwrite else 1
    if number > 1 and _begun(folder)[:2] == [str(number), "-"]:  # the version before is damaged: go on
        return None, number, False
    try:
        base = latest(url, fresh=True)
        if base is None and not overwrite:
            _require_free(url)
        following = 1 if base is None else base.head.number + 1
        return base, following, _bring(base, following, folder)
    except DamagedError:
        if not overwrite:
            raise
    return None, number, _bring(None, number, folder)


def _publish(
    folder: Path, url: Url, base: Snapshot | None, number: int, objects: Objects | None, names: Names | None
) -> None:
    content = read_stored(folder / SUMS)
    sums = {**parse_sums(content), SUMS: sha256(content)}
    if objects is None and base is not None and any(each.in_shard for each in base.table.values()):
        objects = "shards"
    upload(folder, sums, url, base, number, names(folder) if names is not None and objects == "shards" else {})


def _bring(base: Snapshot | None, number: int, folder: Path) -> bool:
    """Bring the published version to the work folder, unless an interrupted command of this version has begun there.

    Returns:
        Whether the work folder is new.
    """
    mark = _mark(base, number)
    if _begun(folder) == mark:
        folder.mkdir(parents=True, exist_ok=True)
        return False
    if _has_work(folder, mark[2]):
        raise UsageError(
            f"{base.url if base is not None else 'The URL'} was published anew since a command was interrupted here, "
            f"whose work, which is not published, is in {_moved(folder)}"
        )
    _clear(folder)
    folder.mkdir(parents=True)
    if base is not None:
        with stage(f"Fetching {base.url}", "files") as progress:
            for done, name in enumerate(base.table, start=1):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                base.copy(name, folder / name)
                progress(done, len(base.table))
    _base(folder).write_text(" ".join(mark))
    return True


def _base(folder: Path) -> Path:
    return folder.parents[1] / _BASE


def _mark(base: Snapshot | None, number: int) -> list[str]:
    """Return what identifies the version that a work folder began from: hashes of its table and of its SHA256SUMS."""
    if base is None:
        return [str(number), "-", "-"]
    sums = base.table.get(SUMS)
    return [str(number), base.head.table.sha256, sums.sha256 if sums is not None else "-"]


def _begun(folder: Path) -> list[str]:
    return _base(folder).read_text().split() if _base(folder).exists() else []


def _has_work(folder: Path, published: str) -> bool:
    """Return whether a work folder holds unfinished work, or something finished other than what is published.

    What is published may have been made here, by a command that was killed before it removed the folder.
    """
    return _is_finished(folder, published) or any((folder / name).exists() for name in WORKS)


def _is_finished(folder: Path, published: str) -> bool:
    brought = _begun(folder)[2:]
    return bool(brought) and (folder / SUMS).exists() and sha256_of(folder / SUMS) not in (*brought, published)


def _clear(folder: Path) -> None:
    _base(folder).unlink(missing_ok=True)
    shutil.rmtree(folder.parents[1], ignore_errors=True)


def _moved(folder: Path) -> str:
    return f"{folder.parents[1]}. Move this folder away to begin from what is published now."


def _require_free(url: Url) -> None:
    """Raise UsageError if there are objects of the user at a URL, such as the meshes of a collection.

    Empty objects are markers, by which consoles of object stores make folders.
    """
    for name, size in list_objects(url):
        if size and not name.startswith(f"{FOLDER}/"):
            raise UsageError(
                f"{url} holds {quoted(name)}, which shapecnn did not write. Choose another prefix, or add --overwrite "
                f"to publish beside it."
            )


@contextmanager
def _naming(url: Url, folder: Path) -> Iterator[None]:
    """Name the URL in errors, not the work folder."""
    try:
        yield
    except ShapecnnError as error:
        error.args = tuple(arg.replace(str(folder), str(url)) if isinstance(arg, str) else arg for arg in error.args)
        raise
