"""Open the index that a folder holds already, and check that it is of the same model, settings and shard."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from shapecnn.errors import MismatchError, StoredDataError
from shapecnn.meshes.shards import PART, Part, read_part, require_same_shard
from shapecnn.search.header import RowSize
from shapecnn.search.index import FAILURES, FEATURES, HEADER, INVERTED, SHAPES, Index, read_index, unfinished_settings
from shapecnn.search.record import ModelRecord
from shapecnn.storage.own import remove_all_own, require_unchanged
from shapecnn.storage.publishing import written_hashes
from shapecnn.storage.unfinished import WORK


def previous_index(
    folder: Path,
    record: ModelRecord,
    part: Part | None,
    command: str,
    *,
    rows: RowSize | None = None,
    overwrite: bool = False,
    before: Callable[[], None] = lambda: None,
) -> Index | None:
    """Return the index in a folder, which a command is about to update or to replace.

    With ``overwrite``, an index that is damaged, of another shard, made with another model or other settings, or with
    small rows where full ones are asked for is removed first.

    Args:
        folder: Folder of the index. The caller has locked it.
        record: Record of the model with which the command makes the index.
        part: Shard of a collection that the command indexes; None for a whole collection.
        command: Shell command that makes the index; error messages quote it.
        rows: How the features will be stored; None if they are not made of those of the old index.
        overwrite: Whether to replace such an index, and files that shapecnn did not write.
        before: Function that is called before an index is removed, and before a new one is begun; if it fails, the
            old index stays.

    Returns:
        The index; None if the folder has none.

    Raises:
        MismatchError: The index is of another shard, was made with another model or other settings, or has small rows
            where full rows are asked for.
        UsageError: The folder has files that shapecnn did not write.
        StoredDataError: The index is damaged or from another version.
    """
    rebuild = f"To keep the index, name another folder. To replace the index: {command} --overwrite"
    ours = written_hashes(folder)
    others = {FAILURES, INVERTED} if part is None else {FAILURES, INVERTED, PART}
    require_unchanged(folder, ({HEADER, SHAPES, FEATURES} - ours.keys()) | others, overwrite)
    try:
        old = read_index(folder) if HEADER in ours and os.path.lexists(folder / HEADER) else None
        _require_same(folder, record, part, old, rebuild)
        if rows == "full" and old is not None and old.form.rows == "small":
            raise MismatchError(f"{folder} has small rows, from which full rows cannot be made. {rebuild}")
    except (MismatchError, StoredDataError):
        if not overwrite:
            raise
        before()  # a failed download must not cost the user the old index
        remove_all_own(folder)
        return None
    if old is None and not os.path.lexists(folder / WORK):  # an old or unfinished index may already have all features
        before()
    return old


def _require_same(folder: Path, record: ModelRecord, part: Part | None, old: Index | None, rebuild: str) -> None:
    """Raise MismatchError if a folder holds an index, finished or not, of another model, of other settings or shard."""
    if old is not None:
        stored = read_part(folder, rebuild)
        require_same_shard(part, None if stored is None else str(stored.shard), str(folder), rebuild)
        record.require_same(old.record, str(folder), rebuild)
    unfinished = unfinished_settings(folder / WORK)
    if unfinished is not None:
        where = f"The unfinished index in {folder}"
        require_same_shard(part, unfinished.shard, where, rebuild)
        record.require_same(unfinished.record, where, rebuild)
