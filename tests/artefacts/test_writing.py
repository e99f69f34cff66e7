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
from io import BufferedReader
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest

from shapecnn.artefacts.maker import ArtefactData, Facts
from shapecnn.artefacts.manifest import MANIFEST, SETTINGS, Entry, read_manifest
from shapecnn.artefacts.writing import make_artefacts
from shapecnn.errors import StoredDataError, UsageError
from shapecnn.settings.views_and_grids import VoxelSettings
from shapecnn.storage import reading as storage
from shapecnn.storage.reading import sha256
from shapecnn.storage.tables import table_bytes
from shapecnn.workers.pool import Workers
from tests.sealing import reseal

FAULTS: dict[str, tuple[Callable[[], object], str]] = {
    "segfault": (lambda: ctypes.string_at(0), "the worker process died (Segmentation fault)"),
    "killed": (
        lambda: os.kill(os.getpid(), signal.SIGKILL),
        "the worker process died (Killed), perhaps because the machine ran out of memory: use fewer --workers",
    ),
    "hang": (lambda: time.sleep(60), "processing took longer than 4 s: simplify the input, or raise --timeout"),
    "hang in native code": (
        lambda: ctypes.PyDLL(None).usleep(60_000_000),
        "processing took longer than 4 s: simplify the input, or raise --timeout",
    ),
    "grow": (
        lambda: np.ones(1 << 28),
        "processing needs more than 1 GB of memory: simplify the input, or raise --memory",
    ),
}
TURNED = VoxelSettings(rotations=2)
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

    @property
    def measures(self) -> bool:
        return False

    def to_json(self) -> dict[str, Any]:
        return {"schema_version": 1, **self.settings.to_json()}

    def open(self, item: Item) -> tuple[str, Callable[[], ArtefactData]]:
        return sha256(item.id.encode()), lambda: ArtefactData(self._made(item), Facts(NOTES.get(item.id)))

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
        with pytest.raises(UsageError, match=r"/out/chair is a link, and shapecnn does not write through links\."):
            make(out, "a.off", "chair/b.off", overwrite=overwrite)
    assert list(elsewhere.iterdir()) == []


@dataclass(frozen=True)
class Piece(Item):
    """An item whose content is not its name."""

    content: str = ""


@dataclass(frozen=True)
class Logged(Maker):
    """Makes two files of a piece, and notes each piece that it makes anew."""

    log: Path

    def open(self, item: Piece) -> tuple[str, Callable[[], ArtefactData]]:
        return sha256(item.content.encode()), lambda: ArtefactData(self._made(item), Facts(f"note of {item.content}"))

    def _made(self, item: Piece) -> Iterator[bytes]:
        with self.log.open("a") as log:
            log.write(f"{item.id}\n")
        yield f"{item.content}{PurePosixPath(item.id).suffix} from the front".encode()
        yield f"{item.content}{PurePosixPath(item.id).suffix} from behind".encode()


Remake = Callable[..., list[str]]


@pytest.fixture
def remake(tmp_path: Path) -> Remake:
    """``remake(id=content, …)`` makes the artefacts of these pieces in out/, which are those of a first run, and
    returns the ids of those that were made anew."""

    def run(out: Path, contents: dict[str, str], overwrite: bool) -> Path:
        log = tmp_path / "log"
        log.write_text("")
        pieces = [Piece(name, content=content) for name, content in sorted(contents.items())]
        make_artefacts(pieces, out, Logged(TURNED, log), command="", overwrite=overwrite, workers=Workers(1))
        return log

    def remade(contents: dict[str, str], overwrite: bool = False) -> list[str]:
        made = run(tmp_path / "out", contents, overwrite).read_text().split()
        run(tmp_path / "fresh", contents, overwrite)
        assert everything(tmp_path / "out") == everything(tmp_path / "fresh")
        shutil.rmtree(tmp_path / "fresh")
        return made

    return remade


def everything(folder: Path) -> dict[str, bytes]:
    """Each file by its path; a worker that reads this file need not load what tests.solids does."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_what_is_renamed_or_moved_is_not_made_again(remake: Remake) -> None:
    assert remake({"a.off": "chair", "b.off": "bed", "c.off": "sofa"}) == ["a.off", "b.off", "c.off"]
    assert remake({"z/a.off": "chair", "b.off": "bed", "c.off": "sofa"}) == []
    assert remake({"z/a.off": "chair", "y.off": "bed", "c.off": "lamp"}) == ["c.off"]
    assert remake({"z/a.off": "chair", "z/copy.off": "chair", "c.off": "lamp"}) == []


def test_a_second_class_beside_a_single_one_costs_only_its_own_shapes(remake: Remake) -> None:
    assert remake({f"{k}.off": f"chair {k}" for k in range(5)}) != []
    assert remake({"bed/x.off": "bed"} | {f"chair/{k}.off": f"chair {k}" for k in range(5)}) == ["bed/x.off"]


def test_what_changed_places_is_made_of_the_right_content(remake: Remake) -> None:
    remake({"a.off": "chair", "b.off": "bed", "c.off": "sofa"})
    remake({"a.off": "bed", "b.off": "chair", "c.off": "chair", "d.off": "sofa"})
    remake({"b.off": "bed", "c.off": "bed", "d.off": "chair", "e.off": "sofa"})


def test_the_same_bytes_in_another_format_are_made_of_their_own(remake: Remake) -> None:
    remake({"a.off": "chair"})
    assert remake({"a.ply": "chair"}) == ["a.ply"]


def test_a_moved_artefact_that_is_not_as_it_was_written_is_not_used(remake: Remake, tmp_path: Path) -> None:
    remake({"a.off": "chair", "b.off": "bed"})
    (tmp_path / "out" / "b_r01.binvox").write_bytes(b"somebody's")
    made = run_overwriting(remake, tmp_path, {"a.off": "chair", "z.off": "bed"})
    assert made == ["z.off"]


def run_overwriting(remake: Remake, tmp_path: Path, contents: dict[str, str]) -> list[str]:
    """Somebody's file is in nobody's way and stays: it is set aside for the comparison."""
    log = tmp_path / "log"
    log.write_text("")
    pieces = [Piece(name, content=content) for name, content in sorted(contents.items())]
    make_artefacts(pieces, tmp_path / "out", Logged(TURNED, log), command="", overwrite=True, workers=Workers(1))
    assert (tmp_path / "out" / "b_r01.binvox").read_bytes() == b"somebody's"
    return log.read_text().split()


def test_what_an_interrupted_run_made_is_found_under_another_name(remake: Remake, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    pieces = [Piece("a.off", content="chair"), Piece("b.off", content="bed"), Piece("c.off", content="sofa")]
    with pytest.raises(KeyboardInterrupt):
        make_artefacts(
            pieces, tmp_path / "out", Logged(TURNED, tmp_path / "log"), command="", workers=Workers(1), progress=stop
        )
    assert remake({"x/a.off": "chair", "x/b.off": "bed", "c.off": "sofa"}) == ["c.off"]


class Watched(Logged):
    """Notes what is read of artefacts, in whatever process."""

    def open(self, item: Piece) -> tuple[str, Callable[[], ArtefactData]]:
        watch(self.log)
        return super().open(item)


def watch(log: Path) -> None:
    """From now on, in this process."""
    read = storage.open_stored
    if read.__name__ == "noted":
        return

    def noted(path: Path) -> BufferedReader:
        if path.suffix == ".binvox":
            with log.open("a") as file:
                file.write(f"{path.name}\n")
        return read(path)

    storage.open_stored = noted


@pytest.mark.parametrize("overwrite", [False, True])
def test_artefacts_of_an_unchanged_collection_are_read_once(
    overwrite: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces, log = [Piece("a.off", content="chair"), Piece("b.off", content="bed")], tmp_path / "log"
    again = {"command": "", "overwrite": overwrite, "workers": Workers(1)}
    make_artefacts(pieces, tmp_path / "out", Logged(TURNED, log), **again)
    log.write_text("")
    monkeypatch.setattr(storage, "open_stored", storage.open_stored)  # as it will be again
    watch(log)
    assert make_artefacts(pieces, tmp_path / "out", Watched(TURNED, log), **again).skipped == 2
    assert sorted(log.read_text().split()) == ["a_r00.binvox", "a_r01.binvox", "b_r00.binvox", "b_r01.binvox"]


@pytest.mark.parametrize("name", [SETTINGS, MANIFEST])
def test_a_link_to_nothing_is_not_taken_for_nothing(name: str, tmp_path: Path) -> None:
    make(tmp_path, "a.off")
    (tmp_path / name).unlink()
    (tmp_path / name).symlink_to("nowhere")
    with pytest.raises(StoredDataError, match=rf"{name} cannot be read \(the path is a link\)"):
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
    with pytest.raises(UsageError, match=r"holds SHA256SUMS, not written by shapecnn"):
        make(tmp_path, "a.off", "b.off")
    assert (tmp_path / "SHA256SUMS").read_text() == "of my own files"
