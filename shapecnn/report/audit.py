"""An audit as files: all of it as JSON and CSV, and one HTML file that shows the groups as pictures."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

from shapecnn.artefacts import Entry
from shapecnn.audit import Audit, Group, Member
from shapecnn.inputs import Looks
from shapecnn.report.html import fill
from shapecnn.report.thumbnails import thumbnail
from shapecnn.storage import exclusive, json_bytes, publish

SHOWN_GROUPS = 150  # of the page; some 10 kB a picture
SHOWN_MEMBERS = 6
LISTED = 50  # of those that show nothing

Read = Callable[[Entry], Looks | None]


def write_audit(folder: Path, audit: Audit, read: Read) -> None:
    """Put everything into ``folder``: audit.json, audit.csv with a line for each member of a group, and audit.html,
    which shows shapes as ``read`` gives them, None for one that cannot be shown.

    Raises BusyError if another process is writing there.
    """
    page = audit_page(audit, read)
    with exclusive(folder):
        publish(
            folder,
            {"audit.json": json_bytes(audit.to_json()), "audit.csv": _table(audit), "audit.html": page.encode()},
        )


def audit_page(audit: Audit, read: Read) -> str:
    """HTML. ``read`` is asked only for the shapes shown."""
    shown = [(group, _cards(group, read)) for group in audit.groups[:SHOWN_GROUPS]]
    return fill("audit.html", audit=audit, groups=shown, listed=LISTED)


def _cards(group: Group, read: Read) -> list[tuple[Member, str | None]]:
    """The members shown, with their pictures: one of each label and split before another of any."""
    seen: set[tuple[str | None, str | None]] = set()
    first: list[Member] = []
    others: list[Member] = []
    for member in group.members:
        kind = member.entry.label, member.entry.split
        (others if kind in seen else first).append(member)
        seen.add(kind)
    cards = []
    for member in [*first, *others][:SHOWN_MEMBERS]:
        looks = read(member.entry) if member.entry.status == "ok" else None
        cards.append((member, None if looks is None else thumbnail(looks)))
    return cards


def _table(audit: Audit) -> bytes:
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["group", "kind", "leak", "conflict", "id", "label", "split", "status", "similarity"])
    for number, group in enumerate(audit.groups):
        flags = str(group.leak).lower(), str(group.conflict).lower()
        for member in group.members:
            entry = member.entry
            described = (
                entry.id,
                entry.label,
                entry.split,
                entry.status,
                member.similarity,
            )  # None is written as nothing
            rows.writerow([number, group.kind, *flags, *described])
    return text.getvalue().encode()
