"""A collection of mesh files: a folder tree, a zip of one, or a CSV with the header ``path,label,split``.

What the folders mean is in :mod:`labels`, what a CSV may look like in :mod:`catalogue`. The id of a
shape is its path inside the collection, with its extension; the order is by id everywhere.
"""

from __future__ import annotations

import itertools
import os
import zipfile
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from shapecnn.errors import ArchiveError, CollectionError, quoted, reason, visible
from shapecnn.meshes.catalogue import read_catalogue
from shapecnn.meshes.folders import find_files, is_hidden
from shapecnn.meshes.labels import Labels, by_folder, describe
from shapecnn.meshes.mesh import EXTENSIONS, MAX_BYTES, Content, read_file, read_source, require_beside, sibling_reader
from shapecnn.meshes.readers.gltf import Sibling, outer_buffers
from shapecnn.meshes.zips import list_members, read_member
from shapecnn.storage.kinds import taken_for
from shapecnn.storage.reading import sha256
from shapecnn.workers.progress import stage

Say = Callable[[str], None]
"""Told what a person should know of how a collection was read."""

ContentKey = tuple[str | None, str]
"""What decides all that is made of a shape beside the settings: :func:`content_hash`, and the extension of its id."""

_SHOWN = 3  # links named in one message


def silent(_message: str) -> None:
    """For whom nothing needs to be told."""


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
        return _printed(str(self.file if self.member is None else self.file / self.member))

    def read(self) -> bytes:
        """The bytes of the file.  Raises MeshError: missing, unreadable, too-large."""
        if self.member is None:
            return read_file(self.file)
        return read_member(self.file, self.member, MAX_BYTES)

    def source(self) -> Content:
        """As :meth:`read`, for a mesh: see :func:`shapecnn.meshes.mesh.read_source`."""
        return read_source(self.file) if self.member is None else self.read()

    @property
    def sibling(self) -> Sibling:
        """Reads files that the mesh refers to, from its own folder and nowhere else."""
        if self.member is None:
            return sibling_reader(self.file.parent)
        folder = PurePosixPath(self.member).parent
        archive = self.file

        def read(name: str) -> bytes:
            require_beside(name)
            return read_member(archive, str(folder / name), MAX_BYTES)

        return read


def list_shapes(
    collection: Path,
    extensions: Set[str] = EXTENSIONS,
    *,
    labels: Labels = "auto",
    say: Say = silent,
) -> list[Shape]:
    """The shapes of a collection, sorted by id: its mesh files, or its files with other ``extensions``.

    Args:
        collection: A folder, a zip, or a CSV.
        extensions: Of the files that count, in lower case.
        labels: What names label and split: auto: the CSV, or folders as they look; folder: the first folder, also in a
            CSV; none: nothing. Ids are the same either way.
        say: Told what is not as a person might expect: links passed over, folders read as split/class, and the like.

    Raises:
        CollectionError: There is no such collection, it holds no such file, two of its shapes have one id, it is not
            safe to read, or its folders can be read in two ways and ``labels`` does not say in which.
    """
    with stage(f"Listing {collection}"):
        if collection.suffix.lower() == ".csv" and collection.is_file():
            shapes = _of_catalogue(collection, labels, say)
        else:
            shapes = _in_folders(list_files(collection, extensions, say=say), collection, labels, say)
    if not shapes:
        kind = "mesh files" if extensions == EXTENSIONS else "files"
        told = taken_for(collection, f"a collection of {kind}")
        raise CollectionError(told or f"{collection} holds no {kind} ({', '.join(sorted(extensions))}).")
    shapes.sort(key=lambda shape: shape.id)
    for shape, following in itertools.pairwise(shapes):
        if shape.id == following.id:
            raise CollectionError(f"{collection} holds {quoted(shape.id)} more than once: rename one of them.")
    return shapes


def list_files(collection: Path, extensions: Set[str], *, say: Say = silent) -> list[Shape]:
    """The visible files of a folder or a zip, whatever its folders mean: each as a shape without label and split whose
    id is its whole relative path, in no order.

    Raises CollectionError if there is no such folder or zip, or it is not safe to read.
    """
    if collection.is_dir():
        found = find_files(collection, extensions)
        if found.passed_over:
            some = ", ".join(map(quoted, found.passed_over[:_SHOWN]))
            more = len(found.passed_over) - _SHOWN
            links = "folders that lead" if len(found.passed_over) > 1 else "a folder that leads"
            say(
                f"Note: {collection}: passed over {links} to where the meshes are listed already or back up: {some}"
                f"{f' and {more} more' if more > 0 else ''}."
            )
        return [Shape(name, None, None, collection / name) for name in found.files]
    if not collection.exists():
        raise CollectionError(f"There is no collection at {collection}.")
    if collection.is_file() and (collection.suffix.lower() == ".zip" or zipfile.is_zipfile(collection)):
        return _in_zip(collection, extensions)
    raise CollectionError(
        f"{collection} is no collection: give a folder, a zip of one, or a CSV with the header path,label,split."
    )


def content_hash(shape: Shape, data: Content) -> str:
    """SHA-256 (hex) of a mesh file; for a GLB or GLTF with buffers beside it, of the file and those buffers.

    Raises MeshError if a buffer cannot be read.
    """
    if not shape.id.lower().endswith((".gltf", ".glb")):
        return sha256(data)
    return sha256(b"".join([data, *outer_buffers(bytes(data), shape.sibling)]))


def content_key(shape_id: str, digest: str | None) -> ContentKey:
    """What is decided by the bytes of a file, and by how its extension says that they are read."""
    return digest, PurePosixPath(shape_id).suffix.lower()


def printable(name: str) -> str:
    """A file name as text that any file format can hold: bytes that are no UTF-8 become ``\\xNN``."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def find_printed(path: str) -> Path:
    """The file or folder that :attr:`Shape.path` names so: where a part of the path is not there, what is and is
    printed like it; the path as it is where nothing is."""
    given = Path(path)
    found = Path(given.anchor)
    for part in given.parts[len(found.parts) :]:
        if "\\" in part and not os.path.lexists(found / part):
            try:
                names = os.listdir(found)
            except OSError:  # it is gone, or inside a zip
                return given
            part = next((name for name in names if _printed(name) == part), part)
        found /= part
    return found


def _printed(name: str) -> str:
    return visible(printable(name))


def _in_zip(zipped: Path, extensions: Set[str]) -> list[Shape]:
    try:
        names = list_members(zipped)
    except ArchiveError as error:
        raise CollectionError(str(error)) from None
    except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError) as error:
        raise CollectionError(f"{zipped} cannot be read as a zip: {reason(error)}.") from None
    paths = map(PurePosixPath, names)
    return [
        Shape(str(path), None, None, zipped, str(path))
        for path in paths
        if path.suffix.lower() in extensions and not any(map(is_hidden, path.parts))
    ]


def _of_catalogue(path: Path, labels: Labels, say: Say) -> list[Shape]:
    """A CSV says itself what is a label: it is believed, unless a person says otherwise."""
    rows, told = read_catalogue(path)
    for sentence in told:
        say(f"Note: {sentence}")
    shapes = []
    for row in rows:
        place = PurePosixPath(row.name)
        label, split = row.label, row.split
        if labels != "auto":
            described = by_folder(place)
            label, split = (described.label, described.split) if labels == "folder" else (None, None)
        shapes.append(Shape(str(place), label, split, row.folder / row.name))
    return shapes


def _in_folders(files: Sequence[Shape], collection: Path, labels: Labels, say: Say) -> list[Shape]:
    """The same files, with what their folders mean."""
    described, told = describe([file.id for file in files], str(collection), labels)
    for sentence in told:
        say(f"Note: {sentence}")
    return [
        Shape(printable(str(one.path)), printable(one.label) if one.label else None, one.split, file.file, file.member)
        for file, one in zip(files, described, strict=True)
    ]
