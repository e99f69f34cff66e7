"""Write an audit as files: all results as JSON, the groups as CSV, and an HTML page with pictures of the groups."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

from shapecnn.artefacts.manifest import Entry
from shapecnn.duplicates.results import Audit, Group, Member
from shapecnn.models.input import InputArray
from shapecnn.report.html import display_path, fill, link
from shapecnn.report.thumbnails import thumbnail
from shapecnn.storage.own import publish_report
from shapecnn.storage.reading import json_bytes
from shapecnn.storage.spreadsheets import csv_text

SHOWN_GROUPS = 150  # groups on the page; a picture takes about 10 kB
SHOWN_MEMBERS = 6  # shapes of each group on the page
LISTED = 50  # failed shapes, and blank shapes, listed on the page

Read = Callable[[Iterable[Entry]], Iterable[tuple[Entry, InputArray]]]
"""Returns the network inputs of some shapes; it may leave shapes out."""

Find = Callable[[Entry], Path | None]
"""Returns the file that the card of a shape links to: the mesh, or the first artefact of the shape."""


def write_audit(folder: Path, audit: Audit, read: Read, find: Find, overwrite: bool = False) -> None:
    """Write an audit to a folder: audit.json, audit.csv with a line for each member of a group, and audit.html.

    Args:
        folder: The folder of the report.
        audit: The audit.
        read: Returns the network inputs of the shapes to draw; a shape that it leaves out has no picture.
        find: Returns the file that a shape links to.
        overwrite: Replace files that shapecnn did not write.

    Raises:
        BusyError: Another process is writing to the folder.
        UsageError: The folder holds other files and ``overwrite`` is not set.
    """
    page = audit_page(audit, read, find, folder / "audit.html")
    files = {"audit.json": json_bytes(audit.to_json()), "audit.csv": _table(audit), "audit.html": page.encode()}
    publish_report("audit.json", folder, files, overwrite)


def audit_page(audit: Audit, read: Read, find: Find, page: Path) -> str:
    """Return an audit as an HTML page, with a card for each shape: picture, file name, class and id.

    Args:
        audit: The audit.
        read: Returns the network inputs of the shapes to draw; called only for the shapes on the page.
        find: Returns the file that a shape links to; called only for the shapes on the page.
        page: File that the page is written to; links are relative to its folder.

    Returns:
        The HTML.
    """
    selection = [(group, _select(group)) for group in audit.groups[:SHOWN_GROUPS]]
    members = chain.from_iterable(cards for _, cards in selection)
    usable = {member.entry.id: member.entry for member in members if member.entry.status == "ok"}
    pictures = {entry.id: thumbnail(array) for entry, array in read(usable.values())}

    def card(member: Member) -> tuple[Member, str, str | None, str | None]:
        file = find(member.entry)
        address = None if file is None else link(file, page)
        return member, PurePosixPath(member.entry.id).name, address, pictures.get(member.entry.id)

    groups = [(group, [card(member) for member in selected]) for group, selected in selection]
    return fill("audit.html", title=display_path(audit.data), audit=audit, groups=groups, listed=LISTED)


def _select(group: Group) -> list[Member]:
    """Return the members to show: first one of each label and split, then others."""
    kinds: set[tuple[str | None, str | None]] = set()
    first: list[Member] = []
    others: list[Member] = []
    for member in group.members:
        kind = member.entry.label, member.entry.split
        (others if kind in kinds else first).append(member)
        kinds.add(kind)
    return [*first, *others][:SHOWN_MEMBERS]


def _table(audit: Audit) -> bytes:
    return csv_text(_rows(audit)).encode()


def _rows(audit: Audit) -> Iterator[list[Any]]:
    yield ["group", "kind", "leak", "conflict", "id", "label", "split", "status", "similarity"]
    for number, group in enumerate(audit.groups):
        flags = [str(group.leak).lower(), str(group.conflict).lower()]
        for member in group.members:
            entry = member.entry
            yield [number, group.kind, *flags, entry.id, entry.label, entry.split, entry.status, member.similarity]
