"""The audit page: its size is bounded, and it shows each label and split of a group."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shapecnn.artefacts.manifest import Entry
from shapecnn.duplicates.results import Audit, Empty, Features, Group, Level, Member
from shapecnn.report.audit import LISTED, SHOWN_GROUPS, SHOWN_MEMBERS, audit_page
from tests.report.parsed import Page
from tests.report.safe import require_safe

HERE = Path("audit.html")


def nowhere(_entry: Entry) -> None:
    return None


def entry(number: int, split: str = "train", error: str | None = None) -> Entry:
    return Entry(f"{number:05}.off", "chair", split, None, "failed" if error else "ok", error)


def made(groups: list[Group], failed: int = 0) -> Audit:
    entries = [*(m.entry for g in groups for m in g.members), *(entry(k, error="broken") for k in range(failed))]
    level = Level(len(groups), len(entries), 0, 0, 0)
    features = Features("my run", "penultimate", 0.98, [(0.9, 7)])
    empty = [Empty(e, 3, 12) for e in entries[:1]]
    return Audit("views", "views", entries, {"content": level, "geometry": level}, groups, empty, features, 1.0)


def test_thousands_of_large_groups_make_a_bounded_page() -> None:
    groups = [Group("feature", [Member(entry(k), 0.99) for k in range(10 * n, 10 * n + 10)]) for n in range(3000)]
    asked = []

    def read(shown: Iterable[Entry]) -> Iterator[tuple[Entry, NDArray[np.uint8]]]:
        for each in shown:
            asked.append(each)
            yield each, np.full((12, 8, 8), 99, np.uint8)

    page = Page(audit_page(made(groups, failed=200), read, nowhere, HERE))
    assert len(asked) == SHOWN_GROUPS * SHOWN_MEMBERS == sum(tag == "img" for tag, _ in page.elements)
    assert f"3000 groups, those across splits or with different labels first; {SHOWN_GROUPS} shown" in page.text
    assert f"and {10 - SHOWN_MEMBERS} more" in page.text
    assert f"and {200 - LISTED} more" in page.text
    assert "00000.off: 3 of 12" in page.text
    assert "7 at 0.9" in page.text


def test_cards_show_the_file_name_linked_to_the_file_and_below_it_the_class(tmp_path: Path) -> None:
    odd = os.fsdecode(b"caf\xe9 #1.off")
    (tmp_path / "meshes" / "a").mkdir(parents=True)
    (tmp_path / "meshes" / "a" / odd).touch()
    labelled = Entry("a/x<1>.off", "sofa", "test", None, "ok", None)
    plain = Entry("a/caf\\xe9 #1.off", None, None, None, "ok", None)
    files = {labelled.id: tmp_path / "gone.off", plain.id: tmp_path / "meshes" / "a" / odd}
    audit = made([Group("content", [Member(labelled), Member(plain)])])
    source = audit_page(audit, lambda _: (), lambda entry: files[entry.id], tmp_path / "out" / "audit.html")
    page = require_safe(source)
    assert "x<1>.off test no picture sofa · a/x<1>.off" in " ".join(page.sections[-1].split())
    assert "caf\\xe9 #1.off no picture a/caf\\xe9 #1.off" in " ".join(page.sections[-1].split())
    assert "no label" not in page.text
    (address,) = [attributes["href"] for tag, attributes in page.elements if tag == "a"]
    assert address == "../meshes/a/caf%E9%20%231.off"


def test_each_split_is_shown_before_another_of_the_same() -> None:
    many = [Member(entry(k)) for k in range(20)]
    group = Group("content", [*many, Member(entry(20, "test")), Member(entry(21, "train", "it is empty"))])
    page = Page(audit_page(made([group]), lambda _: (), nowhere, HERE))
    assert "across splits test, train" in page.text
    assert "00020.off" in page.text
    assert "00010.off" not in page.text
