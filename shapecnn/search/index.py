"""Read indexes from disk: the features of a collection, and the record of the model that computed the features.

An index consists of four files, which are published together with their hashes:

- ``index.json``: the model, its settings and the engine that computed the features.
- ``shapes.parquet``: the N shapes, in order of id.
- ``features.safetensors``: ``features`` (N, D) float32, one feature vector of length D for each shape. For a model that
  takes V views: ``views`` (N, V, D) float16, the feature vector of each view. For a model that adapts features to the
  collection, as ``@imagenet`` does by default: ``gallery`` (N, D) float32, the adapted features, and ``distinct``
  (N,) uint8, 0 for a copy of an earlier shape and 1 otherwise. All vectors are of unit length.
  In a joined index, the last numbers of ``features`` are the descriptor (512 for ``sph``), the numbers before are the
  feature of the network, and each of the two has the length √½. ``gallery`` has the numbers of the network only, and
  ``views`` is absent.
  With small rows (:mod:`shapecnn.search.small_rows`): ``features`` (N, D) int8; ``views`` (N, V, B) uint8 and
  ``factors`` (N, V) float16; ``neighbours`` (N, K) int32, from which ``gallery`` is computed; and ``distinct``.
- ``failures.parquet``: the meshes that cannot be used.
- ``inverted.safetensors``, only in an index that has an inverted file (:mod:`shapecnn.search.inverted`). It is derived
  from the features: without it, all shapes are compared, until the next update makes it again.

An interrupted command leaves the features that it has computed in a work folder, where the next command reads them.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from mmap import mmap
from pathlib import Path
from typing import Any, NamedTuple, get_args

from shapecnn.errors import StoredDataError
from shapecnn.meshes.collection import Shape, locate
from shapecnn.meshes.labels import Labels
from shapecnn.models.space import Placed
from shapecnn.search.header import HEADER as HEADER
from shapecnn.search.header import PLAIN, Form, IndexHeader, read_described
from shapecnn.search.index_arrays import Features, Views, index_arrays
from shapecnn.search.inverted import InvertedFile
from shapecnn.search.record import ModelRecord
from shapecnn.search.rows import FeatureRow, foreign
from shapecnn.search.small_rows import PackedViews
from shapecnn.storage.journal import scan_journal
from shapecnn.storage.kinds import kind_of, require_kind
from shapecnn.storage.publishing import published
from shapecnn.storage.sealed import Sealed, open_sealed
from shapecnn.storage.table_reader import start_reader
from shapecnn.storage.tables import read_table
from shapecnn.storage.unfinished import WORK

REMEDY = "Put it back from a copy, or index the collection again, with --overwrite."

SHAPES, FEATURES, FAILURES = "shapes.parquet", "features.safetensors", "failures.parquet"
INVERTED = "inverted.safetensors"


@dataclass(frozen=True, slots=True)
class IndexedShape:
    """One shape of an index, stored as a row of ``shapes.parquet``.

    Attributes:
        id: Path of the mesh file inside the collection.
        label: Class of the shape; None if the shape has no label.
        split: ``train``, ``val`` or ``test``; None if the shape has no split.
        sha256: SHA-256 of the mesh file, in hexadecimal.
        path: Absolute path of the mesh file at the time of indexing. For a file inside a zip: the path of the zip file,
            then the path inside the zip.
    """

    id: str
    label: str | None
    split: str | None
    sha256: str
    path: str

    @property
    def source(self) -> Shape:
        """The shape as :func:`list_shapes` returned it, with the location of its mesh file, to read the file again."""
        return replace(locate(self.path), id=self.id, label=self.label, split=self.split)


@dataclass(frozen=True, slots=True)
class Failure:
    """One mesh that cannot be used, stored as a row of ``failures.parquet``.

    Attributes:
        id: Path of the mesh file inside the collection.
        path: Absolute path of the mesh file.
        error: Reason why the mesh cannot be used, in one sentence.
    """

    id: str
    path: str
    error: str


@dataclass(frozen=True, slots=True)
class Index:
    """Index of a collection: its shapes, their features, and the record of the model that computed the features.

    The arrays are memory-mapped from a file: rows that are not read take no memory.

    Attributes:
        record: Record of the model that computed the features.
        engine: Description of the inference engine that computed the latest features; empty for an index without
            shapes.
        shapes: N shapes, in order of id.
        features: (N, D) float32 of unit length, one feature vector of length D for each shape; encoded in an index with
            small rows.
        views: (N, V, D) float16 of unit length, the feature of each of V views; encoded in an index with small rows.
            None if the index was made without pictures, if the model compares no single views, if no shape is indexed,
            or if the index is from an early version.
        placed: Coordinates of the shapes in a space adapted to the collection, in which the model compares shapes; None
            if the model compares features directly, or if the index is from an early version.
        labels: Source of the labels and splits of the collection: ``auto``, ``folder`` or ``none``.
        form: How the index stores the features, and how it is searched.
        inverted: Lists of encoded features, for a search that does not compare all shapes; None to compare all.
        mapped: Content of the mapped files.
    """

    record: ModelRecord
    engine: dict[str, str]
    shapes: list[IndexedShape]
    features: Features
    views: Views | None = None
    placed: Placed | None = None
    labels: Labels = "auto"
    form: Form = PLAIN
    inverted: InvertedFile | None = None
    mapped: tuple[bytes | mmap, ...] = ()

    def row(self, number: int) -> FeatureRow:
        """Return the features of one shape, with its views as they are stored."""
        if isinstance(self.views, PackedViews):
            return FeatureRow(self.features[number], self.views.codes[number], self.views.factors[number])
        return FeatureRow(self.features[number], None if self.views is None else self.views[number])


def read_index(folder: Path) -> Index:
    """Read an index and check its files against their stored hashes.

    Args:
        folder: Folder of the index.

    Raises:
        UsageError: ``folder`` holds no index.
        StoredDataError: The index is damaged or from another version.
    """
    try:
        return _read(folder)
    except StoredDataError:
        return _read(folder)  # read again: another process may have published the index while its files were read


def read_failures(folder: Path) -> list[Failure]:
    """Read the meshes that the last update of an index could not use.

    Args:
        folder: Folder of the index.

    Returns:
        The meshes in order of id.

    Raises:
        StoredDataError: The table is missing or damaged.
    """
    sealed = open_sealed(folder, REMEDY)
    table = sealed.read(FAILURES)
    with sealed.validating(FAILURES):
        return read_table(Failure, table)


def read_shapes(folder: Path) -> tuple[IndexHeader, ModelRecord, list[IndexedShape]]:
    """Read an index without its features.

    Args:
        folder: Folder of the index.

    Returns:
        The sizes and the model of the index, the record of this model, and the shapes in order of id.

    Raises:
        UsageError: ``folder`` holds no index.
        StoredDataError: The index is damaged or from another version.
    """
    sealed, header, record = _open(folder)
    return header, record, _read_table(sealed, header)


def _open(folder: Path) -> tuple[Sealed, IndexHeader, ModelRecord]:
    require_kind(folder, "index", "To make one: shapecnn index COLLECTION INDEX")
    sealed = open_sealed(folder, REMEDY)
    start_reader()  # the Parquet reader loads in the background while other files are checked
    described = read_described(sealed)
    with sealed.validating(HEADER):
        header = IndexHeader.from_options(**described)
        record = ModelRecord.read(header.model, header.settings)
    return sealed, header, record


def _read_table(sealed: Sealed, header: IndexHeader) -> list[IndexedShape]:
    table = sealed.read(SHAPES)
    with sealed.validating(SHAPES):
        shapes = read_table(IndexedShape, table, most=header.count)
        if len(shapes) != header.count or any(one.id >= other.id for one, other in itertools.pairwise(shapes)):
            raise ValueError("shapes.parquet does not list all the shapes of the index in order of id")
    return shapes


def _read(folder: Path) -> Index:
    sealed, header, record = _open(folder)
    content = sealed.map(FEATURES)
    with sealed.validating(FEATURES):
        arrays = index_arrays(content, header, descriptor_numbers(record))
    inverted, mapped = None, [content]
    adapted = arrays.placed is not None
    if header.lists and adapted == bool(header.gallery) and published(sealed.folder, INVERTED).exists():
        mapped.append(sealed.map(INVERTED))
        with sealed.validating(INVERTED):
            inverted = InvertedFile.read(mapped[1], header.count, header.feature_size, header.lists, adapted=adapted)
        if arrays.placed is not None:
            arrays = arrays._replace(placed=arrays.placed._replace(statistics=inverted.statistics))
    shapes = _read_table(sealed, header)
    return Index(record, header.engine, shapes, *arrays, header.labels, header.form, inverted, tuple(mapped))


def descriptor_numbers(record: ModelRecord) -> int:
    """Return how many numbers of each feature vector are the descriptor of a joined index; 0 for all other indexes.

    Args:
        record: Record of the model that computed the features.
    """
    if record.descriptor is None:
        return 0
    from shapecnn.descriptors import descriptor_size

    return descriptor_size(record.descriptor)


class IndexSettings(NamedTuple):
    """Settings of a finished or unfinished index.

    Attributes:
        record: Record of the model that computes the features.
        labels: Source of the labels and splits: ``auto``, ``folder`` or ``none``. The features do not depend on it.
        shard: Shard that an unfinished index is of, such as ``2/8``; None for a whole collection or a finished index.
        form: How the index stores the features, and how it is searched.
    """

    record: ModelRecord
    labels: Labels
    shard: str | None = None
    form: Form = PLAIN


def index_settings(folder: Path) -> IndexSettings | None:
    """Return the settings of a finished or unfinished index; None if the folder has no index yet.

    Args:
        folder: Folder of the index.

    Raises:
        StoredDataError: The index is damaged.
    """
    if kind_of(folder) == "index":
        sealed = open_sealed(folder, REMEDY)
        described = read_described(sealed)
        with sealed.validating(HEADER):
            return _settings(described)
    return unfinished_settings(folder / WORK)


def unfinished_settings(scratch: Path) -> IndexSettings | None:
    """Return the settings of an unfinished index; None if no features have been stored yet.

    Args:
        scratch: Work folder of the index.

    Raises:
        StoredDataError: Another version of shapecnn began the index.
    """
    header, *rows = [record for _, record in itertools.islice(scan_journal(scratch), 2)] or [{}]
    if not rows:
        return None
    try:
        return _settings(header)
    except ValueError:
        raise foreign(scratch) from None


def _settings(described: Mapping[str, Any]) -> IndexSettings:
    """Parse the settings that an index stores; raise ValueError for values that no version of shapecnn writes."""
    labels = described.get("labels", "auto")  # earlier versions did not store it
    if labels not in get_args(Labels):
        raise ValueError(f"the stored value of labels is not one of {', '.join(get_args(Labels))}")
    record = ModelRecord.read(described.get("model"), described.get("settings"))
    return IndexSettings(record, labels, described.get("shard"), Form.parse(described))
