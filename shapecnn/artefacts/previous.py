"""Find the artefacts (views or voxel grids) that earlier runs wrote into a folder, and compare their settings."""

from __future__ import annotations

import os
from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shapecnn.artefacts.maker import Facts
from shapecnn.artefacts.manifest import MANIFEST, REMEDY, SETTINGS, artefact_files, artefact_stems, read_manifest
from shapecnn.errors import MismatchError, StoredDataError
from shapecnn.meshes.collection import ContentKey, content_key
from shapecnn.meshes.shards import PART, SHARD, Part, read_part, require_same_shard
from shapecnn.settings.base import differences, options
from shapecnn.settings.views_and_grids import ViewSettings, VoxelSettings, require_same
from shapecnn.storage.checksums import SUMS
from shapecnn.storage.journal import read_journal
from shapecnn.storage.own import remove_all_own, require_unchanged
from shapecnn.storage.publishing import written_hashes
from shapecnn.storage.sealed import open_sealed
from shapecnn.storage.unfinished import WORK

_OPTIONS = ({*ViewSettings.model_fields, *VoxelSettings.model_fields} | {"layout"}) - {"kind", "drawing", "filling"}
"""Names of the settings that can be given as command-line options."""


@dataclass(frozen=True, slots=True)
class PreviousArtefacts:
    """Reusable artefact files of one shape: an earlier run wrote them, and they have not changed since.

    Attributes:
        id: Id that the shape had then.
        content: Key that identifies the content of the source file; see :func:`content_key`.
        files: Paths relative to the artefact folder, in the order of views or rotations.
        hashes: SHA-256 (hex) of each file.
        facts: What was recorded about the source file.
    """

    id: str
    content: ContentKey
    files: tuple[str, ...]
    hashes: tuple[str, ...]
    facts: Facts


def journal_header(settings: Mapping[str, Any], part: Part | None) -> dict[str, Any]:
    """Return the header of the journal of a command that makes artefacts, by which a later command may continue it.

    Args:
        settings: Content of ``settings.json``.
        part: Shard that the command makes; None for a whole collection.
    """
    return {**settings} if part is None else {**settings, SHARD: str(part.shard)}


def previous_artefacts(
    out: Path, names: Set[str], settings: Mapping[str, Any], part: Part | None, command: str, overwrite: bool = False
) -> dict[str, PreviousArtefacts]:
    """Return the artefacts in a folder that a command can reuse, after a check that the command may write there.

    With ``overwrite``, artefacts that are damaged, of another shard or made with other settings are removed.

    Args:
        out: The artefact folder, which the caller has locked.
        names: Relative paths of the artefact files that the command writes.
        settings: Content of ``settings.json`` that the command writes.
        part: Shard that the command makes; None for a whole collection.
        command: Shell text of the command; error messages quote it.
        overwrite: Whether to replace such artefacts, and files that shapecnn did not write.

    Returns:
        The artefact files of each shape that an earlier run made and that have not changed since, by stem.

    Raises:
        UsageError: ``out`` already has files of the same names that shapecnn did not write.
        MismatchError: ``out`` holds artefacts made with other settings, or of another shard.
        StoredDataError: A stored file in ``out`` is missing or damaged.
    """
    hashes = written_hashes(out)
    sealed_files = {MANIFEST, SETTINGS, SUMS} & hashes.keys()  # checked against their hashes when they are read
    described = {PART} if part is not None else set()
    intact = require_unchanged(out, {*names, MANIFEST, SETTINGS, *described, *hashes} - sealed_files, overwrite)
    finished = SETTINGS in hashes and os.path.lexists(out / SETTINGS)  # a broken link counts as existing
    try:
        require_same_settings(out, finished, settings, part, command)
        return read_previous(out, finished, settings, intact)
    except (MismatchError, StoredDataError):
        if not overwrite:
            raise
        remove_all_own(out)
        return {}


def require_same_settings(
    out: Path, finished: bool, settings: Mapping[str, Any], part: Part | None, command: str
) -> None:
    """Raise MismatchError unless the artefacts in a folder were made with the settings of the current command.

    Args:
        out: The artefact folder.
        finished: Whether the folder contains complete artefacts. Incomplete artefacts are checked in any case.
        settings: Content of ``settings.json`` that the current command writes.
        part: Shard that the current command makes; None for a whole collection.
        command: Shell text of the current command; the error message quotes it.

    Raises:
        MismatchError: The artefacts were made with other settings, or of another shard.
        StoredDataError: The stored settings are damaged.
    """
    rebuild = f"To keep the artefacts in {out}, choose another output folder. To replace them: {command} --overwrite"
    published = read_part(out, rebuild) if finished else None
    headers = [journal_header(open_sealed(out, rebuild).json(SETTINGS), published)] if finished else []
    journal, _ = read_journal(out / WORK)
    for stored in [*headers, *([journal] if journal else [])]:
        shard = stored.pop(SHARD, None)
        require_same_stored(settings, stored, str(out), f"{_continue_advice(settings, stored)}{rebuild}")
        require_same_shard(part, shard, str(out), rebuild)  # last: its advice has an option that data import lacks


def require_same_stored(wanted: Mapping[str, Any], stored: Mapping[str, Any], where: str, remedy: str) -> None:
    """Raise MismatchError unless two folders have artefacts of the same settings and the same layout of files.

    Args:
        wanted: Content of ``settings.json``, as it should be.
        stored: Content of ``settings.json`` in the folder.
        where: Name of the folder, with which the message begins.
        remedy: Sentence that says what to do, with which the message ends.

    Raises:
        MismatchError: The settings or the layouts differ.
    """
    asked, found = (
        {key: value for key, value in each.items() if key not in ("schema_version", "layout")}
        for each in (wanted, stored)
    )
    require_same(asked, found, where, remedy)
    layout, other = wanted.get("layout"), stored.get("layout", wanted.get("layout"))
    if layout != other:
        raise MismatchError(f"{where} was made with --layout {other}, not with --layout {layout}. {remedy}")


def read_previous(
    out: Path, finished: bool, settings: Mapping[str, Any], intact: Mapping[str, str]
) -> dict[str, PreviousArtefacts]:
    """Return the artefact files in a folder that this run can reuse because an earlier run wrote them.

    Args:
        out: The artefact folder.
        finished: Whether the folder contains a finished run.
        settings: Content of ``settings.json``, the same for all runs in the folder.
        intact: SHA-256 (hex) of each file that has not changed since it was written, by relative path.

    Returns:
        The artefact files of each shape whose files are all unchanged, by stem (see :func:`artefact_stems`).

    Raises:
        StoredDataError: The manifest, or the journal of an interrupted run, is damaged or of another version.
    """
    previous: dict[str, PreviousArtefacts] = {}
    if finished and os.path.lexists(out / MANIFEST):
        entries = read_manifest(out)
        sums = open_sealed(out, "").sums
        for stem, entry in zip(artefact_stems([entry.id for entry in entries]), entries, strict=True):
            if entry.status == "ok":
                files = tuple(artefact_files(settings, stem))
                hashes = tuple(sums.get(name, "") for name in files)
                facts = Facts(entry.note, entry.area, entry.volume)
                content = content_key(entry.id, entry.sha256)
                previous[stem] = PreviousArtefacts(entry.id, content, files, hashes, facts)
    _, records = read_journal(out / WORK)
    try:
        for record in records:
            files, hashes = tuple(artefact_files(settings, record["stem"])), tuple(record["artefacts"])
            facts = Facts(record["note"], record.get("area"), record.get("volume"))  # earlier versions had only notes
            content = content_key(record["id"], record["sha256"])
            previous[record["stem"]] = PreviousArtefacts(record["id"], content, files, hashes, facts)
    except (KeyError, TypeError):
        raise StoredDataError(f"{out / WORK} was made by another version of shapecnn. {REMEDY}") from None
    return {stem: each for stem, each in previous.items() if each.hashes == tuple(map(intact.get, each.files))}


def _continue_advice(requested: Mapping[str, Any], stored: Mapping[str, Any]) -> str:
    """Return advice to add the options with which the stored artefacts were made; "" if no options can do this.

    Without this advice, a user who forgot an option would replace all artefacts by artefacts with wrong settings.
    """
    changes = differences(requested, stored).keys()
    imported = requested.get("origin", "own") != "own"  # data import has no options for its settings
    if imported or not changes or not changes <= _OPTIONS or any(stored.get(key) is None for key in changes):
        return ""
    return f"Add {options(stored, changes)} to continue with the stored settings. "
