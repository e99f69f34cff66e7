"""Write an output folder wherever the user wants it: a local folder as it is, a URL by way of a work folder.

A command writes a URL as it writes a local folder: into a work folder in the cache, to which the published version was
brought before. At the end, the work folder is published and removed. After an interruption the work folder stays, and
the same command on the same machine continues there.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from shapecnn.errors import ShapecnnError, UsageError, quoted
from shapecnn.storage.caches import cache_folder
from shapecnn.storage.checksums import SUMS, parse_sums
from shapecnn.storage.objects.heads import FOLDER
from shapecnn.storage.objects.snapshot import Snapshot, latest
from shapecnn.storage.objects.store import list_objects
from shapecnn.storage.objects.upload import upload
from shapecnn.storage.objects.url import Url
from shapecnn.storage.publishing import exclusive
from shapecnn.storage.reading import read_stored, sha256
from shapecnn.storage.unfinished import WORKS
from shapecnn.workers.progress import stage

Objects = Literal["files", "shards"]
"""How the views or grids of artefacts are stored at a URL: an object for each file, or tar shards of about 64 MB."""

Names = Callable[[Path], Mapping[str, str]]
"""Function that returns, for a finished local folder, the name in a tar shard of each file that may be packed."""

_BASE = "base"  # file beside the work folder: number of the published version that was brought to it


@contextmanager
def written(
    out: Path, *, overwrite: bool = False, objects: Objects | None = None, names: Names | None = None
) -> Iterator[Path]:
    """Give the local folder to write an output to, and publish it at the end if the output is a URL.

    Args:
        out: A local folder, or a URL.
        overwrite: Accept a URL with objects that shapecnn did not write. They stay.
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
    folder = place / out.name
    with _naming(out, folder), exclusive(place):
        base = latest(out, fresh=True)
        if base is None and not overwrite:
            _require_free(out)
        _bring(base, folder)
        try:
            yield folder
        except UsageError:
            if not _is_unfinished(folder):
                shutil.rmtree(folder, ignore_errors=True)
                (place / _BASE).unlink(missing_ok=True)
            raise
        _publish(folder, out, base, objects, names)
        shutil.rmtree(folder)
        (place / _BASE).unlink()


def _publish(folder: Path, url: Url, base: Snapshot | None, objects: Objects | None, names: Names | None) -> None:
    content = read_stored(folder / SUMS)
    sums = {**parse_sums(content), SUMS: sha256(content)}
    if objects is None and base is not None and any(each.in_shard for each in base.table.values()):
        objects = "shards"
    upload(folder, sums, url, base, names(folder) if names is not None and objects == "shards" else {})


def _bring(base: Snapshot | None, folder: Path) -> None:
    """Bring the published version to the work folder, unless an interrupted command of this version has begun there."""
    mark = folder.parent / _BASE
    number = str(base.head.number if base is not None else 0)
    begun = mark.read_text() if mark.exists() else None
    if begun == number:
        folder.mkdir(exist_ok=True)
        return
    if begun is not None and _is_unfinished(folder):
        raise UsageError(
            f"Another version was published since a command was interrupted here, whose unfinished work is in "
            f"{folder.parent}. Move this folder away to begin from the published version."
        )
    mark.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if base is not None:
        with stage(f"Fetching {base.url}", "files") as progress:
            for done, name in enumerate(base.table, start=1):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(base.path(name), folder / name)
                progress(done, len(base.table))
    mark.write_text(number)


def _is_unfinished(folder: Path) -> bool:
    return any((folder / name).exists() for name in WORKS)


def _require_free(url: Url) -> None:
    """Raise UsageError if there are objects of the user at a URL, such as the meshes of a collection."""
    for name, _ in list_objects(url):
        if not name.startswith(f"{FOLDER}/"):
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
        error.args = tuple(
            arg.replace(str(folder), str(url)).replace(str(folder.parent), str(url)) if isinstance(arg, str) else arg
            for arg in error.args
        )
        raise
