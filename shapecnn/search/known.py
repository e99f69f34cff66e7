"""What an index holds of the shapes of one shard, so that a node of a cluster neither reads nor computes it again.

A node opens only the rows of its shard. The machine of the command has checked the hash of the file before, and checks
it again when all shards are finished.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from shapecnn.search.header import IndexHeader, read_described
from shapecnn.search.index import FEATURES, REMEDY, Index, descriptor_numbers
from shapecnn.search.index_arrays import index_rows
from shapecnn.search.record import ModelRecord
from shapecnn.search.rows import StoredRow
from shapecnn.storage.publishing import published
from shapecnn.storage.reading import map_stored
from shapecnn.storage.sealed import open_sealed


class KnownRow(NamedTuple):
    """Where an index holds the features of one shape.

    Attributes:
        number: Number of the row, from 0.
        sha256: SHA-256 of the mesh file that the features were computed from.
    """

    number: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the shapes of one shard.

    Attributes:
        folder: Folder of the index that has the features.
        held: Where the features are, by the id of the shape: of the shapes of the shard, and of shapes that the
            collection no longer has, because their meshes may have other names now.
        trusted: SHA-256 of each mesh file of the shard that has not changed, by the id of the shape.
    """

    folder: Path
    held: Mapping[str, KnownRow]
    trusted: Mapping[str, str]

    def rows(self, views: bool) -> dict[str, StoredRow]:
        """Return the known features by the id of the shape.

        Args:
            views: Whether the features of single views are needed; without them, none are known.

        Raises:
            StoredDataError: The index is damaged.
        """
        if not self.held:
            return {}
        sealed = open_sealed(self.folder, REMEDY)
        described = read_described(sealed)
        content = map_stored(published(self.folder, FEATURES))
        with sealed.validating(FEATURES):
            header = IndexHeader.from_options(**described)
            record = ModelRecord.read(header.model, header.settings)
            arrays = index_rows(content, header, descriptor_numbers(record))
        if views and arrays.views is None:
            return {}
        index = Index(record, header.engine, [], *arrays, mapped=(content,))
        return {shape_id: StoredRow(row.sha256, partial(index.row, row.number)) for shape_id, row in self.held.items()}
