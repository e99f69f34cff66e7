"""A collection of mesh files: a folder tree, a zip of one, or a CSV with the header ``path,label,split``.

The first level of folders names the label; a second level called train, val or test is the split; deeper
folders belong to the shape. A flat folder has neither. A single folder around everything is stripped. The id
of a shape is its path inside the collection, with its extension; the order is by id everywhere.
"""

from __future__ import annotations

import csv
import functools
import itertools
import os
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from shapecnn.errors import ArchiveError, CollectionError, MeshError, quoted, reason, visible
from shapecnn.gltf import Sibling, outer_buffers
from shapecnn.mesh import EXTENSIONS, MAX_BYTES, read_file, require_beside, sibling_reader, too_large
from shapecnn.storage import check_members, sha256

SPLITS = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class Shape:
    """One mesh of a collection: what it is called, what it is, and where its bytes are."""

    id: str
    label: str | None
    split: str | None
    file: Path  # the mesh file, or the zip it is in
    member: str | None = None  # its name inside the zip

    @property
    def path(self) -> str:
        """Where to find it, for people, on one line: a file, or a file inside a zip."""
        return visible(printable(str(self.file if self.member is None else self.file / self.member)))

    def read(self) -> bytes:
        """The bytes of the file.  Raises MeshError: missing, unreadable, too-large."""
        if self.member is None:
            return read_file(self.file)
        return _read_member(self.file, self.member)

    @property
    def sibling(self) -> Sibling:
        """Reads files that the mesh refers to, from its own folder and nowhere else."""
        if self.member is None:
            return sibling_reader(self.file.parent)
        folder = PurePosixPath(self.member).parent
        archive = self.file

        def read(name: str) -> bytes:
            require_beside(name)
            return _read_member(archive, str(folder / name))

        return read


def list_shapes(collection: Path, extensions: Set[str] = EXTENSIONS) -> list[Shape]:
    """The shapes of a collection, sorted by id: its mesh files, or its files with other ``extensions``.

    Raises CollectionError if there is no such collection, it holds no such file, two of its shapes have one id, or it
    is not safe to read.
    """
    if collection.suffix.lower() == ".csv" and collection.is_file():
        shapes = _from_csv(collection)
    else:
        files = list_files(collection, extensions)
        described = _describe([file.id for file in files])
        shapes = [
            Shape(printable(shape_id), label, split, file.file, file.member)
            for file, (shape_id, label, split) in zip(files, described, strict=True)
        ]
    if not shapes:
        kind = "mesh files" if extensions == EXTENSIONS else "files"
        raise CollectionError(f"{collection} holds no {kind} ({', '.join(sorted(extensions))}).")
    shapes.sort(key=lambda shape: shape.id)
    for shape, following in itertools.pairwise(shapes):
        if shape.id == following.id:
            raise CollectionError(f"{collection} holds {quoted(shape.id)} more than once: rename or remove one.")
    return shapes


def list_files(collection: Path, extensions: Set[str]) -> list[Shape]:
    """The visible files of a folder or a zip, whatever its folders mean: each as a shape without label and split whose
    id is its whole relative path, in no order.

    Raises CollectionError if there is no such folder or zip, or it is not safe to read.
    """
    if collection.is_dir():
        return [Shape(name, None, None, collection / name) for name in _walk(collection, extensions)]
    if not collection.exists():
        raise CollectionError(f"There is no collection at {collection}.")
    if collection.suffix.lower() == ".zip" or zipfile.is_zipfile(collection):
        return _from_zip(collection, extensions)
    raise CollectionError(
        f"{collection} is no collection: give a folder, a zip of one, or a CSV with the header path,label,split."
    )


def content_hash(shape: Shape, data: bytes) -> str:
    """SHA-256 (hex) of a mesh file; for a GLB or GLTF with buffers beside it, of the file and those buffers.

    Raises MeshError if a buffer cannot be read.
    """
    if not shape.id.lower().endswith((".gltf", ".glb")):
        return sha256(data)
    return sha256(b"".join([data, *outer_buffers(data, shape.sibling)]))


def artefact_stems(ids: Sequence[str]) -> list[str]:
    """For each id the path of its artefact without extension: the id without its own, kept where ids differ only in it.

    Raises CollectionError if two of them would still write one output (``a.off.obj`` beside ``a.off`` and
    ``a.ply``).
    """
    bare = [str(PurePosixPath(i).with_suffix("")) for i in ids]
    shared = Counter(bare)
    stems = [i if shared[stem] > 1 else stem for i, stem in zip(ids, bare, strict=True)]
    owners: dict[str, str] = {}
    for shape_id, stem in zip(ids, stems, strict=True):
        other = owners.setdefault(stem, shape_id)
        if other != shape_id:
            both = f"{other} and {shape_id}"
            raise CollectionError(visible(f"{both} would be written to one file, {stem}: rename one of them."))
    return stems


def printable(name: str) -> str:
    """A file name as text that any file format can hold: bytes that are no UTF-8 become ``\\xNN``."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _walk(folder: Path, extensions: Set[str]) -> Iterator[str]:
    """Relative POSIX paths of the files below ``folder``; links are followed unless they lead back up."""
    pending = [(folder, "", frozenset({os.path.realpath(folder)}))]
    while pending:
        here, prefix, above = pending.pop()
        try:
            with os.scandir(here) as entries:
                visible = [(entry.name, _is_folder(entry)) for entry in entries if not _is_hidden(entry.name)]
        except OSError as error:
            raise CollectionError(f"The folder {here} cannot be listed: {error.strerror}.") from None
        for name, is_folder in visible:
            if is_folder:
                real = os.path.realpath(here / name)
                if real not in above:
                    pending.append((here / name, f"{prefix}{name}/", above | {real}))
            elif PurePosixPath(name).suffix.lower() in extensions:
                yield prefix + name


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, or to where nobody may look: whoever reads it is told
        return False


def _from_zip(zipped: Path, extensions: Set[str]) -> list[Shape]:
    try:
        with zipfile.ZipFile(zipped) as archive:
            members = [member.filename for member in check_members(archive)]
    except ArchiveError as error:
        raise CollectionError(str(error)) from None
    except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError) as error:
        raise CollectionError(f"{zipped} cannot be read as a zip: {reason(error)}.") from None
    files = [(name, PurePosixPath(name.replace("\\", "/"))) for name in members]  # some packers write backslashes
    return [
        Shape(str(path), None, None, zipped, name)
        for name, path in files
        if path.suffix.lower() in extensions and not any(map(_is_hidden, path.parts))
    ]


def _from_csv(path: Path) -> list[Shape]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            if not {"path", "label", "split"} <= set(rows.fieldnames or ()):
                raise CollectionError(f"{path} lacks the header path,label,split.")
            return [_from_row(path, rows.line_num, row) for row in rows]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CollectionError(f"{path} cannot be read as a CSV in UTF-8: {error}.") from None


def _from_row(path: Path, line: int, row: dict[str, str | None]) -> Shape:
    name = (row["path"] or "").strip()
    relative = PurePosixPath(name)
    if not name or relative.is_absolute() or ".." in relative.parts:
        raise CollectionError(f"{path}, line {line}: {quoted(name)} is not a path inside the folder of the CSV.")
    if any(map(_is_hidden, relative.parts)):  # an artefact of that name would land among an output's own hidden files
        hidden = "is hidden (a name that begins with a dot); rename it"
        raise CollectionError(f"{path}, line {line}: {quoted(name)} {hidden}.")
    split = (row["split"] or "").strip() or None
    if split is not None and split not in SPLITS:
        raise CollectionError(f"{path}, line {line}: the split {quoted(split)} is none of {', '.join(SPLITS)}.")
    return Shape(str(relative), (row["label"] or "").strip() or None, split, path.parent / name)


def _describe(names: Iterable[str]) -> list[tuple[str, str | None, str | None]]:
    """(id, label, split) of each relative path, once a folder around everything is stripped."""
    paths = [PurePosixPath(name) for name in names]
    roots = {path.parts[0] for path in paths if len(path.parts) > 1}
    # A lone folder whose own folders are all splits is a class, not a wrapper: chair/train/a.off.
    around_all = len(roots) == 1 and all(len(path.parts) > 1 for path in paths)
    if around_all and not all(len(path.parts) > 2 and path.parts[1] in SPLITS for path in paths):
        paths = [PurePosixPath(*path.parts[1:]) for path in paths]
    described = []
    for path in paths:
        folders = path.parts[:-1]
        label = folders[0] if folders else None
        split = folders[1] if len(folders) > 1 and folders[1] in SPLITS else None
        described.append((str(path), printable(label) if label else None, split))
    return described


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


@functools.lru_cache(maxsize=2)
def _archive(path: Path, _version: int, _process: int) -> zipfile.ZipFile:
    """The zip, kept open: its directory is read once per process, not once per shape.

    A child that inherits it opens its own: the two would move one file position under each other.
    """
    return zipfile.ZipFile(path)


def _read_member(path: Path, name: str) -> bytes:
    try:
        archive = _archive(path, path.stat().st_mtime_ns, os.getpid())
        size = archive.getinfo(name).file_size
        if size > MAX_BYTES:
            raise too_large(size)
        return archive.read(name)
    except MeshError:
        raise
    except KeyError:
        raise MeshError("missing", f"there is no {quoted(name)} in {path}") from None
    except Exception as error:  # zlib.error, RuntimeError, EOFError: damaged or encrypted data finds many ways to fail
        raise MeshError("unreadable", f"it cannot be read from {path.name}: {reason(error)}") from None
