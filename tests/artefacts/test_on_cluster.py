"""Parts that a cluster makes of grids, without the cluster; tests/cli/test_cluster.py has Ray."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from shapecnn.artefacts.manifest import MANIFEST, read_manifest
from shapecnn.artefacts.on_cluster import prepare_on_cluster
from shapecnn.artefacts.prepare import Recipe, prepare_collection
from shapecnn.artefacts.writing import Summary
from shapecnn.errors import MismatchError, StoredDataError, UsageError
from shapecnn.settings.views_and_grids import VoxelSettings
from shapecnn.storage.tables import table_bytes
from shapecnn.workers.pool import Workers
from shapecnn.workers.progress import Progress, listen
from tests.clusters import SMALL, one_process, write_meshes
from tests.sealing import reseal
from tests.solids import contents


def divided(meshes: Path, out: Path, settings: VoxelSettings = SMALL, workers: int | None = 1) -> Summary:
    return prepare_on_cluster(meshes, out, Recipe(settings), "ray", command="again", workers=Workers(workers))


@pytest.fixture
def meshes(tmp_path: Path) -> Path:
    return write_meshes(tmp_path / "meshes", 12)


@pytest.fixture
def local(meshes: Path, tmp_path: Path) -> dict[str, bytes]:
    prepare_collection(meshes, tmp_path / "local", Recipe(SMALL), command="", workers=Workers(1))
    return contents(tmp_path / "local")


def grids_of_parts(out: Path) -> list[Path]:
    return sorted(out.glob(".partial/parts/*/*/box/train/*.binvox"))


def test_a_damaged_part_of_an_interrupted_command_is_made_again(
    meshes: Path, local: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with one_process(stop=2), pytest.raises(KeyboardInterrupt):
        divided(meshes, out)
    grid, *_ = grids_of_parts(out)
    grid.write_bytes(grid.read_bytes()[:9])  # the node lost what it had not yet written to the disk
    with one_process():
        assert divided(meshes, out).written == 12
    assert contents(out) == local


def test_a_file_that_was_damaged_after_its_part_was_finished_is_not_published(
    meshes: Path, local: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    damage = lambda: grids_of_parts(out)[0].write_bytes(b"zeros")  # noqa: E731
    with one_process(afterwards=damage), pytest.raises(StoredDataError, match="has changed since it was written"):
        divided(meshes, out)
    assert not (out / MANIFEST).exists()
    with one_process():
        divided(meshes, out)
    assert contents(out) == local


def test_an_interrupted_merge_is_continued(tmp_path: Path) -> None:
    """When some files have been moved out of the parts, and some of these are not in the journal yet."""
    meshes, out = write_meshes(tmp_path / "meshes", 80), tmp_path / "out"
    prepare_collection(meshes, tmp_path / "local", Recipe(SMALL), command="", workers=Workers(1))

    @contextmanager
    def interrupting(task: str, _unit: str) -> Iterator[Progress]:
        def progress(done: int, _total: int | None) -> None:
            if task == "Merging" and done == 40:
                raise KeyboardInterrupt

        yield progress

    listen(interrupting)
    try:
        with one_process(), pytest.raises(KeyboardInterrupt):
            divided(meshes, out)
    finally:
        listen()
    assert 40 <= len([*out.glob("box/train/*.binvox")]) < 80
    assert not (out / MANIFEST).exists()
    with one_process():
        divided(meshes, out)
    assert contents(out) == contents(tmp_path / "local")


@dataclass(frozen=True, slots=True)
class EarlierEntry:
    """A row of the manifest as it was before areas and volumes were measured."""

    id: str
    label: str | None
    split: str | None
    sha256: str | None
    status: str
    error: str | None
    note: str | None


def test_grids_of_an_earlier_version_are_kept_and_measured(
    meshes: Path, local: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "local"
    rows = [EarlierEntry(e.id, e.label, e.split, e.sha256, e.status, e.error, e.note) for e in read_manifest(out)]
    (out / MANIFEST).write_bytes(table_bytes(EarlierEntry, rows))
    reseal(out)
    with one_process():
        made = divided(meshes, out)
    assert (made.written, made.skipped) == (0, 12)
    assert contents(out) == local


def test_what_cannot_begin_leaves_no_command_begun(meshes: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with one_process(), pytest.raises(UsageError, match=r"^No node of the cluster has 64 cores, the largest has 1: "):
        divided(meshes, out, workers=64)
    assert not out.exists()
    with one_process(stop=0), pytest.raises(KeyboardInterrupt):
        divided(meshes, out)
    with one_process(), pytest.raises(MismatchError, match="--overwrite"):
        divided(meshes, out, VoxelSettings(resolution=16, padding=1))


def test_another_collection_is_not_mixed_with_that_of_an_interrupted_command(
    meshes: Path, local: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    write_meshes(meshes, 0, "extra")
    with one_process(stop=3), pytest.raises(KeyboardInterrupt):
        divided(meshes, out)
    (meshes / "box/train/extra.off").unlink()
    with one_process():
        assert divided(meshes, out).written == 12
    assert contents(out) == local
