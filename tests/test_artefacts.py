"""Items on which a worker dies, hangs or grows are rows of the manifest that say why; the others are made. Nothing
outside the folder is touched, whatever lies in it.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shapecnn.artefacts import MANIFEST, SETTINGS, Drawn, Entry, make_artefacts, read_manifest
from shapecnn.config import VoxelSettings
from shapecnn.errors import StoredDataError, UsageError
from shapecnn.pool import Workers
from shapecnn.tables import table_bytes
from tests.sealing import reseal

FAULTS: dict[str, tuple[Callable[[], object], str]] = {
    "segfault": (lambda: ctypes.string_at(0), "the process that worked on it died (Segmentation fault)"),
    "killed": (
        lambda: os.kill(os.getpid(), signal.SIGKILL),
        "the process that worked on it died (Killed), perhaps as the machine had no memory left: use fewer --workers",
    ),
    "hang": (lambda: time.sleep(60), "it took longer than 4 s: simplify it, or raise --timeout"),
    "hang in native code": (
        lambda: ctypes.PyDLL(None).usleep(60_000_000),
        "it took longer than 4 s: simplify it, or raise --timeout",
    ),
    "grow": (lambda: np.ones(1 << 28), "1 GB of memory are not enough for it: raise --memory, or simplify it"),
}
NOTES = {"b.off": "17 bytes after the last face were ignored"}


@dataclass(frozen=True)
class Item:
    id: str
    label: str | None = None
    split: str | None = None

    @property
    def path(self) -> str:
        return f"/meshes/{self.id}"


@dataclass(frozen=True)
class Maker:
    settings: VoxelSettings

    def to_json(self) -> dict[str, Any]:
        return {"schema_version": 1, **self.settings.to_json()}

    def open(self, item: Item) -> tuple[str, Callable[[], Drawn]]:
        return "0" * 64, lambda: Drawn(self._made(item), NOTES.get(item.id))

    def _made(self, item: Item) -> Iterator[bytes]:
        fault = item.id.removesuffix(".off")
        if fault in FAULTS:
            FAULTS[fault][0]()
        yield item.id.encode()


def test_what_no_worker_survives_is_named_in_the_manifest_with_its_reason(tmp_path: Path) -> None:
    names = sorted([*FAULTS, "a", "j", "m", "z"], key="{}.off".format)
    items = [Item(f"{name}.off") for name in names]
    few = Workers(2, timeout=4, memory=1)
    done = make_artefacts(items, tmp_path, Maker(VoxelSettings()), command="again", workers=few)
    assert (done.written, done.failed) == (4, len(FAULTS))
    assert done.failures == [(f"/meshes/{name}.off", FAULTS[name][1]) for name in names if name in FAULTS]
    assert [(entry.id, entry.status, entry.error) for entry in read_manifest(tmp_path)] == [
        (f"{name}.off", *(("failed", FAULTS[name][1]) if name in FAULTS else ("ok", None))) for name in names
    ]
    assert sorted(path.name for path in tmp_path.glob("*.binvox")) == [f"{name}.binvox" for name in "ajmz"]


def make(out: Path, *names: str, **options: Any) -> None:
    items = [Item(name) for name in names]
    make_artefacts(items, out, Maker(VoxelSettings()), command="again", workers=Workers(1), **options)


def test_notes_are_in_the_manifest_also_of_what_is_not_made_again(tmp_path: Path) -> None:
    def noted(*names: str) -> dict[str, str | None]:
        make(tmp_path, *names)
        return {entry.id: entry.note for entry in read_manifest(tmp_path)}

    expected = {"a.off": None, "b.off": NOTES["b.off"]}
    assert noted("a.off", "b.off") == expected
    assert noted("a.off", "b.off", "c.off") == {**expected, "c.off": None}
    (tmp_path / "b.binvox").unlink()
    assert noted("a.off", "b.off") == expected


def test_notes_outlive_an_interruption(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    items = [Item(name) for name in ("a.off", "b.off", "c.off")]
    with pytest.raises(KeyboardInterrupt):
        make_artefacts(items, tmp_path, Maker(VoxelSettings()), command="again", workers=Workers(1), progress=stop)
    written = (tmp_path / "b.binvox").stat().st_mtime_ns
    make(tmp_path, "a.off", "b.off", "c.off")
    assert (tmp_path / "b.binvox").stat().st_mtime_ns == written
    assert [entry.note for entry in read_manifest(tmp_path)] == [None, NOTES["b.off"], None]


def test_a_manifest_of_before_there_were_notes_is_read(tmp_path: Path) -> None:
    make(tmp_path, "a.off", "b.off")

    @dataclass
    class Before:
        id: str
        label: str | None
        split: str | None
        sha256: str | None
        status: str
        error: str | None

    rows = [Before(e.id, e.label, e.split, e.sha256, e.status, e.error) for e in read_manifest(tmp_path)]
    (tmp_path / MANIFEST).write_bytes(table_bytes(Before, rows))
    reseal(tmp_path)
    assert [(entry.id, entry.status, entry.note) for entry in read_manifest(tmp_path)] == [
        ("a.off", "ok", None),
        ("b.off", "ok", None),
    ]


def test_nothing_outside_is_removed_whatever_a_manifest_says(tmp_path: Path) -> None:
    out = tmp_path / "out"
    make(out, "a.off", "b.off")
    (tmp_path / "precious.binvox").write_bytes(b"dear")
    forged = [*read_manifest(out), Entry("../precious.off", None, None, "0" * 64, "ok", None)]
    (out / MANIFEST).write_bytes(table_bytes(Entry, forged))
    reseal(out)
    make(out, "a.off")
    assert [path.name for path in out.glob("*.binvox")] == ["a.binvox"]
    assert (tmp_path / "precious.binvox").read_bytes() == b"dear"


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    elsewhere, out = tmp_path / "elsewhere", tmp_path / "out"
    elsewhere.mkdir()
    out.mkdir()
    (out / "chair").symlink_to(elsewhere)
    with pytest.raises(UsageError, match=r"/out holds chair, which shapecnn did not write\. Choose an empty folder"):
        make(out, "a.off", "chair/b.off")
    (out / "chair").unlink()
    make(out, "a.off", "chair/b.off")
    shutil.rmtree(out / "chair")
    (out / "chair").symlink_to(elsewhere)
    for overwrite in (False, True):
        with pytest.raises(UsageError, match=r"/out/chair is a link, and nothing is written through one\."):
            make(out, "a.off", "chair/b.off", overwrite=overwrite)
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("name", [SETTINGS, MANIFEST])
def test_a_link_to_nothing_is_not_taken_for_nothing(name: str, tmp_path: Path) -> None:
    make(tmp_path, "a.off")
    (tmp_path / name).unlink()
    (tmp_path / name).symlink_to("nowhere")
    with pytest.raises(StoredDataError, match=rf"{name} cannot be read \(it is a link\)"):
        make(tmp_path, "a.off")
    assert (tmp_path / name).is_symlink()
    make(tmp_path, "a.off", overwrite=True)
    assert not (tmp_path / name).is_symlink()


def test_hashes_that_somebody_wrote_are_theirs_beside_unfinished_work_too(tmp_path: Path) -> None:
    def stop(done: int, _: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(tmp_path, "a.off", "b.off", progress=stop)
    (tmp_path / "SHA256SUMS").write_text("of my own files")
    with pytest.raises(UsageError, match=r"holds SHA256SUMS, which shapecnn did not write"):
        make(tmp_path, "a.off", "b.off")
    assert (tmp_path / "SHA256SUMS").read_text() == "of my own files"
