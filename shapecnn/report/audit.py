"""Write the report of a duplicate audit: JSON results, a CSV of the duplicates, and an HTML page with pictures."""

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

SHOWN_GROUPS = 150  # largest number of groups on the page; each picture adds about 10 kB
SHOWN_MEMBERS = 6  # largest number of shapes that the page shows for each group
LISTED = 50  # largest number of failed shapes, and of blank shapes, that the page lists

Read = Callable[[Iterable[Entry]], Iterable[tuple[Entry, InputArray]]]
"""Function that yields shapes with their views or grids, from which pictures are drawn; it may leave out shapes."""

Find = Callable[[Entry], Path | None]
"""Function that returns the file that the page links for a shape: its mesh, or its first view or grid.

The function returns None if the page has no link for the shape."""


def write_audit(folder: Path, audit: Audit, read: Read, find: Find, overwrite: bool = False) -> None:
    """Write the report of a duplicate audit to a folder, as audit.json, audit.csv and audit.html.

    The CSV has one row for each shape of each duplicate group.

    Args:
        folder: Folder of the report.
        audit: Result of the audit.
        read: Function that reads the views or grids of the shapes to draw. A shape that it leaves out has no picture.
        find: Function that returns the file that the page links for a shape, or None for no link.
        overwrite: Whether to replace files that shapecnn did not write.

    Raises:
        BusyError: Another process is writing to the folder.
        UsageError: The report would replace files that shapecnn did not write, and ``overwrite`` is False.
    """
    page = audit_page(audit, read, find, folder / "audit.html")
    files = {"audit.json": json_bytes(audit.to_json()), "audit.csv": _table(audit), "audit.html": page.encode()}
    publish_report("audit.json", folder, files, overwrite)


def audit_page(audit: Audit, read: Read, find: Find, page: Path) -> str:
    """Return a duplicate audit as an HTML page that shows each shape with its picture, file name, class and id.

    Args:
        audit: Result of the audit.
        read: Function that reads the views or grids of shapes; called only for the shapes on the page.
        find: Function that returns the file that the page links for a shape, or None for no link; called only for the
            shapes on the page.
        page: Path of the HTML file. Links on the page are relative to its folder.

    Returns:
        The HTML text of the page.
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
    """Return the shapes of a duplicate group to show on the page: one for each label and split, then more."""
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
