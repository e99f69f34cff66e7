"""An audit as files: all of it as JSON and CSV, and one HTML file that shows the groups as pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

from shapecnn.artefacts.manifest import Entry
from shapecnn.duplicates.results import Audit, Group, Member
from shapecnn.models.input import InputArray
from shapecnn.report.html import fill, link, short
from shapecnn.report.thumbnails import thumbnail
from shapecnn.storage.own import publish_report
from shapecnn.storage.reading import json_bytes
from shapecnn.storage.spreadsheets import csv_text

SHOWN_GROUPS = 150  # of the page; some 10 kB a picture
SHOWN_MEMBERS = 6
LISTED = 50  # of those that show nothing

Read = Callable[[Iterable[Entry]], Iterable[tuple[Entry, InputArray]]]
Find = Callable[[Entry], Path | None]
"""The file that a card leads to: the mesh, or, of artefacts, the first of the shape."""


def write_audit(folder: Path, audit: Audit, read: Read, find: Find, overwrite: bool = False) -> None:
    """Put everything into ``folder``: audit.json, audit.csv with a line for each member of a group, and audit.html,
    which shows those shapes that ``read`` has something of.

    Raises BusyError if another process is writing there.
    """
    page = audit_page(audit, read, find, folder / "audit.html")
    files = {"audit.json": json_bytes(audit.to_json()), "audit.csv": _table(audit), "audit.html": page.encode()}
    publish_report("audit.json", folder, files, overwrite)


def audit_page(audit: Audit, read: Read, find: Find, page: Path) -> str:
    """HTML for the file ``page``, with a card for each shape: its file name, linked to the file that ``find`` has of
    it, its class and its id. ``read`` and ``find`` are asked only for the shapes shown."""
    shown = [(group, _shown(group)) for group in audit.groups[:SHOWN_GROUPS]]
    members = chain.from_iterable(some for _, some in shown)
    usable = {member.entry.id: member.entry for member in members if member.entry.status == "ok"}
    pictures = {entry.id: thumbnail(looks) for entry, looks in read(usable.values())}

    def card(member: Member) -> tuple[Member, str, str | None, str | None]:
        file = find(member.entry)
        address = None if file is None else link(file, page)
        return member, PurePosixPath(member.entry.id).name, address, pictures.get(member.entry.id)

    groups = [(group, [card(member) for member in some]) for group, some in shown]
    return fill("audit.html", title=short(audit.data), audit=audit, groups=groups, listed=LISTED)


def _shown(group: Group) -> list[Member]:
    """One of each label and split before another of any."""
    seen: set[tuple[str | None, str | None]] = set()
    first: list[Member] = []
    others: list[Member] = []
    for member in group.members:
        kind = member.entry.label, member.entry.split
        (others if kind in seen else first).append(member)
        seen.add(kind)
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
