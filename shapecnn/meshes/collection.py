"""List the shapes of a collection: a folder of mesh files, a zip of a folder, or a CSV (``path,label,split``).

A folder or a CSV may also be a URL of an object store, whose meshes are fetched by the process that reads them.

:mod:`labels` reads labels and splits from folder names, :mod:`catalogue` reads a CSV, :mod:`zips` reads a zip. The id
of a shape is its path inside the collection, with the extension. Shapes are always sorted by id.
"""

from __future__ import annotations

import itertools
import os
import posixpath
import zipfile
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from shapecnn.errors import ArchiveError, CollectionError, quoted, reason, visible
from shapecnn.meshes.catalogue import read_catalogue
from shapecnn.meshes.labels import Labels, label_by_folder, label_paths
from shapecnn.meshes.listing import find_files, find_objects, is_listed
from shapecnn.meshes.mesh import EXTENSIONS, MAX_BYTES, Content, read_file, read_source, require_beside, sibling_reader
from shapecnn.meshes.readers import Sibling, find_format
from shapecnn.meshes.zips import list_members, read_member
from shapecnn.storage.kinds import explain_kind
from shapecnn.storage.objects.url import Url, as_path, is_url
from shapecnn.storage.reading import sha256
from shapecnn.workers.progress import stage

Say = Callable[[str], None]
"""Callback that shows the user one sentence about how a collection was read."""

ContentKey = tuple[str | None, str]
"""Key of cached results for one mesh file: the SHA-256 of the content (or None) and the extension of the id."""

_SHOWN = 3  # number of links that a message names


def silent(_message: str) -> None:
    """Discard a note to the user: the default of the ``say`` callbacks in this module."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One mesh of a collection.

    Attributes:
        id: Path inside the collection, with the extension.
        label: Name of the class, or None if unknown.
        split: train, val or test, or None if unknown.
        file: Path of the mesh file, or of the zip that contains the mesh file.
        member: Path of the mesh file inside the zip; None if the mesh file is not in a zip.
    """

    id: str
    label: str | None
    split: str | None
    file: Path
    member: str | None = None

    @property
    def path(self) -> str:
        """Printable path of the mesh file; for a file in a zip, the path of the zip, ``/`` and the path inside it."""
        return _printed(str(self.file if self.member is None else self.file / self.member))

    def read(self) -> bytes:
        """Return the content of the mesh file as bytes.

        Raises:
            MeshError: The file is missing, unreadable or too large.
        """
        if self.member is None:
            return read_file(self.file)
        return read_member(self.file, self.member, MAX_BYTES)

    def source(self) -> Content:
        """Return the content of the mesh file, memory-mapped if the file is large and not in a zip.

        See :func:`shapecnn.meshes.mesh.read_source`.

        Raises:
            MeshError: The file is missing, unreadable or too large.
        """
        return read_source(self.file) if self.member is None else self.read()

    @property
    def sibling(self) -> Sibling:
        """Function that reads companion files, such as GLTF buffers, from the folder of the mesh or its subfolders."""
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
    """List the shapes of a collection, sorted by id.

    Args:
        collection: A folder, a zip, or a CSV; or the URL of a folder or a CSV.
        extensions: Extensions of the files to list, in lower case with the dot; by default the mesh formats.
        labels: Source of labels and splits. auto: the columns of the CSV, or the layout of the folders. folder: the
            first folder is the label, also for a CSV. none: labels and splits are None. The ids of shapes are the same
            in each case.
        say: Callback for notes to the user, one sentence each, such as skipped links or folders read as split/class.

    Returns:
        The shapes, at least one.

    Raises:
        CollectionError: The collection does not exist, has no file with these extensions, is not safe to read, or has
            two shapes with the same id; or its folders can be interpreted in two ways and ``labels`` is auto.
    """
    with stage(f"Listing {collection}"):
        if collection.suffix.lower() == ".csv" and (collection.is_file() or isinstance(collection, Url)):
            shapes = _of_catalogue(collection, labels, say)
        else:
            shapes = _in_folders(list_files(collection, extensions, say=say), collection, labels, say)
    if not shapes:
        kind = "mesh files" if extensions == EXTENSIONS else "files"
        mistake = explain_kind(collection, f"a collection of {kind}")
        raise CollectionError(mistake or f"{collection} holds no {kind} ({', '.join(sorted(extensions))}).")
    shapes.sort(key=lambda shape: shape.id)
    for shape, following in itertools.pairwise(shapes):
        if shape.id == following.id:
            raise CollectionError(
                f"{collection} holds {quoted(shape.id)} more than once: give each shape its own path."
            )
    return shapes


def list_files(collection: Path, extensions: Set[str], *, say: Say = silent) -> list[Shape]:
    """List the visible files of a folder or a zip, without labels and splits.

    Args:
        collection: A folder or a zip, or the URL of a folder.
        extensions: Extensions of the files to list, in lower case with the dot.
        say: Callback for one sentence to the user if links were skipped.

    Returns:
        Shapes in no particular order, with label and split None. The id is the whole path relative to ``collection``.

    Raises:
        CollectionError: The folder or zip does not exist or is not safe to read.
        ObjectStoreError: The object store of a URL cannot be reached, or refuses.
    """
    if isinstance(collection, Url):
        return [Shape(name, None, None, collection / name) for name in find_objects(collection, extensions)]
    if collection.is_dir():
        listing = find_files(collection, extensions)
        if listing.passed_over:
            some = ", ".join(map(quoted, listing.passed_over[:_SHOWN]))
            more = len(listing.passed_over) - _SHOWN
            links = "folders that lead" if len(listing.passed_over) > 1 else "a folder that leads"
            say(
                f"Note: {collection}: skipped {links} to a parent folder or to meshes that are already listed: {some}"
                f"{f' and {more} more' if more > 0 else ''}."
            )
        return [Shape(name, None, None, collection / name) for name in listing.files]
    if not collection.exists():
        raise CollectionError(f"There is no collection at {collection}.")
    if collection.is_file() and (collection.suffix.lower() == ".zip" or zipfile.is_zipfile(collection)):
        return _in_zip(collection, extensions)
    raise CollectionError(
        f"{collection} is not a collection: give a folder, a zip of a folder, or a CSV with the header "
        f"path,label,split."
    )


def content_hash(shape: Shape, data: Content) -> str:
    """Return the SHA-256 of a mesh file together with its companion files (buffers of a GLB or GLTF file).

    Args:
        shape: The shape. The extension of its id decides the format.
        data: The content of the mesh file.

    Returns:
        The SHA-256, 64 hexadecimal digits.

    Raises:
        MeshError: A companion file cannot be read.
    """
    file_format = find_format(shape.id)
    if file_format is None or file_format.companions is None:
        return sha256(data)
    return sha256(b"".join([data, *file_format.companions(bytes(data), shape.sibling)]))


def is_alone(shape: Shape, data: Content, digest: str) -> bool:
    """Tell whether a mesh is in one file, without companion files.

    Args:
        shape: The shape.
        data: The content of the mesh file.
        digest: The result of :func:`content_hash`.
    """
    file_format = find_format(shape.id)
    return file_format is None or file_format.companions is None or digest == sha256(data)


def content_key(shape_id: str, digest: str | None) -> ContentKey:
    """Return the cache key of a mesh file: its hash and its extension, because the extension decides the reader."""
    return digest, posixpath.splitext(shape_id)[1].lower()


def printable(name: str) -> str:
    r"""Return a file name as valid Unicode text: bytes that are not UTF-8 become ``\xNN``."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def find_printed(path: str) -> Path:
    """Return the file or folder on disk whose printable path (see :attr:`Shape.path`) is ``path``.

    A printable path differs from the real path where a name is not valid Unicode. So each part of ``path`` that does
    not exist on disk is replaced by a file or folder name with the same printable form, if one exists.
    """
    printed = Path(path)
    actual = Path(printed.anchor)
    for part in printed.parts[len(actual.parts) :]:
        if "\\" in part and not os.path.lexists(actual / part):
            try:
                names = os.listdir(actual)
            except OSError:  # the folder no longer exists, or is inside a zip
                return printed
            part = next((name for name in names if _printed(name) == part), part)
        actual /= part
    return actual


def locate(path: str) -> Shape:
    """Return the shape at a path, as :attr:`Shape.path` prints it: a mesh file, or a zip, ``/`` and a path inside it.

    Args:
        path: Path or URL of the mesh file, which need not exist.

    Returns:
        The shape, with the whole path as its id, and without label and split.

    Example:
        >>> locate("chair/a.off").member is None
        True
    """
    if is_url(path):
        return Shape(path, None, None, as_path(path))
    place = find_printed(path)
    for parent in place.parents:
        if parent.is_file():
            return Shape(path, None, None, parent, place.relative_to(parent).as_posix())
    return Shape(path, None, None, place)


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
    return [Shape(str(path), None, None, zipped, str(path)) for path in paths if is_listed(path, extensions)]


def _of_catalogue(path: Path, labels: Labels, say: Say) -> list[Shape]:
    """List the shapes of a CSV.

    Labels and splits come from the CSV if ``labels`` is auto, and from folder names if ``labels`` is folder. They are
    None if ``labels`` is none.
    """
    rows, notes = read_catalogue(path)
    for sentence in notes:
        say(f"Note: {sentence}")
    shapes = []
    for row in rows:
        place = PurePosixPath(row.name)
        label, split = row.label, row.split
        if labels != "auto":
            by_folder = label_by_folder(place)
            label, split = (by_folder.label, by_folder.split) if labels == "folder" else (None, None)
        shapes.append(Shape(str(place), label, split, row.folder / row.name))
    return shapes


def _in_folders(files: Sequence[Shape], collection: Path, labels: Labels, say: Say) -> list[Shape]:
    """Return the shapes of a folder or zip with the labels and splits from their folder names."""
    paths, notes = label_paths([file.id for file in files], str(collection), labels)
    for sentence in notes:
        say(f"Note: {sentence}")
    return [
        Shape(printable(str(one.path)), printable(one.label) if one.label else None, one.split, file.file, file.member)
        for file, one in zip(files, paths, strict=True)
    ]
