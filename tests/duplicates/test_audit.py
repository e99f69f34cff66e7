"""Audits of collections and artefacts with planted copies: each is found on its level, flagged, and nothing else is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh

from shapecnn.artefacts.imports import import_artefacts
from shapecnn.artefacts.reading import open_artefacts
from shapecnn.duplicates.audit import audit_artefacts, audit_collection, require_threshold
from shapecnn.duplicates.results import Audit, Level
from shapecnn.errors import MismatchError, StoredDataError, UsageError
from shapecnn.models.comparison import FeatureComparison
from shapecnn.models.run import open_run
from shapecnn.models.untrained import UntrainedModel
from shapecnn.settings.networks import VoxresnetSettings
from shapecnn.settings.views_and_grids import ViewSettings, VoxelSettings
from shapecnn.voxels import binvox
from shapecnn.workers.pool import Workers
from tests.evaluations import write_artefacts, write_run
from tests.sealing import reseal
from tests.solids import write

COLUMN = trimesh.creation.cylinder(0.3, 2, sections=7)


def bench(seat: float = 0.2) -> trimesh.Trimesh:
    """No symmetry: a board on one leg, with a back at one end."""
    parts = [
        trimesh.creation.box((2, 1, seat)),
        trimesh.creation.box((0.2, 0.4, 1)).apply_translation((0.6, 0.2, -0.5)),
        trimesh.creation.box((0.2, 0.9, 0.8)).apply_translation((-0.9, 0, 0.4)),
    ]
    return trimesh.util.concatenate(parts)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """bench: a copy of the same bytes across splits, one renumbered and scaled with another label, one turned by a
    quarter and mirrored, one with noise, one that is another bench; and shapes that have no copy."""
    folder = tmp_path_factory.mktemp("planted")
    random = np.random.default_rng(0)
    original = bench()
    for name in ("bench/train/a.off", "bench/test/same.off"):
        write(folder / name, original)
    order = random.permutation(len(original.vertices))
    renumbered = trimesh.Trimesh(
        original.vertices[order] * 2.5 + 1, np.argsort(order)[original.faces][::-1], process=False
    )
    write(folder / "table/train/renumbered.off", renumbered)
    turned = original.copy()
    turned.apply_transform([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    write(folder / "bench/train/turned.obj", turned)
    noisy = trimesh.Trimesh(original.vertices + random.normal(0, 0.02, original.vertices.shape), original.faces)
    write(folder / "bench/train/z_noisy.off", noisy)
    write(folder / "bench/test/other.off", bench(0.6))
    write(folder / "table/test/column.off", COLUMN)
    (folder / "table/train").mkdir(exist_ok=True)
    for name in ("broken.off", "broken2.off"):
        (folder / "table/train" / name).write_text("OFF\n3 1 0\n0 0 0\n")
    return folder


def groups(audit: Audit) -> list[tuple[str, list[str]]]:
    return [(group.kind, [m.entry.id for m in group.members]) for group in audit.groups]


def ids(*names: str) -> list[str]:
    return sorted(names)


BYTES = ids("bench/test/same.off", "bench/train/a.off")
SHAPE = ids(*BYTES, "bench/train/turned.obj", "table/train/renumbered.off")
BROKEN = ids("table/train/broken.off", "table/train/broken2.off")


def check(audit: Audit, same: list[str] = BYTES) -> None:
    """same: the shapes with the same bytes."""
    assert groups(audit)[0] == ("geometry", SHAPE)
    assert sorted(groups(audit)[1:]) == [("content", same), ("content", BROKEN)]
    assert [(group.leak, group.conflict) for group in audit.groups][::2] == [(True, True), (False, False)]
    assert (audit.groups[0].labels, audit.groups[0].splits) == (["bench", "table"], ["test", "train"])
    assert [entry.id for entry in audit.failed] == BROKEN
    content, geometry = audit.levels["content"], audit.levels["geometry"]
    conflicts = int(len(same) > len(BYTES))
    assert content == Level(groups=2, shapes=2 + len(same), redundant=len(same), leaks=1, conflicts=conflicts)
    assert geometry == Level(groups=2, shapes=6, redundant=4, leaks=1, conflicts=1)


def test_a_collection(planted: Path) -> None:
    audit = audit_collection(planted, workers=Workers(1))
    check(audit)
    assert (audit.kind, len(audit.entries), audit.features, audit.empty) == ("meshes", 9, None, [])


@pytest.mark.parametrize("settings", [ViewSettings(size=64), VoxelSettings(resolution=24, padding=1)])
def test_artefacts(settings: ViewSettings | VoxelSettings, planted: Path, tmp_path: Path) -> None:
    artefacts = write_artefacts(planted, tmp_path / "out", settings)
    digests = {entry.id: artefacts.digest(entry) for entry in artefacts.entries}
    audit = audit_artefacts(artefacts, workers=Workers(2))
    check(audit, [name for name in SHAPE if digests[name] == digests[BYTES[0]]])
    assert (audit.kind, len(audit.entries)) == (settings.kind, 9)


@pytest.fixture(scope="module")
def seen(planted: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_artefacts(planted, tmp_path_factory.mktemp("seen"), ViewSettings(size=64)).folder


def untrained(size: int = 64) -> UntrainedModel:
    return UntrainedModel.of(backbone="test_efficientnet", size=size, weights="none", adapt=False)


def test_features_join_what_is_near(seen: Path) -> None:
    """Against all pairs of features, at the similarity of the noisy copy."""
    from shapecnn.models.apply import compute_outputs
    from shapecnn.models.engine import open_engine

    artefacts, model = open_artefacts(seen), untrained()
    outputs = compute_outputs(open_engine(model, "cpu"), model, artefacts, artefacts.entries, False)
    rows = outputs.get("penultimate")[:, 0].astype(np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    similarity = rows @ rows.T
    np.fill_diagonal(similarity, -1)
    names = [entry.id for entry in artefacts.entries]
    noisy = names.index("bench/train/z_noisy.off")
    threshold = similarity[noisy].max() - 1e-6

    audit = audit_artefacts(artefacts, model=model, threshold=threshold, device="cpu", workers=Workers(1))
    strict = audit_artefacts(artefacts, model=model, threshold=1.0, device="cpu", workers=Workers(1))
    found = next(group for group in audit.groups if group.kind == "feature")
    assert {"bench/train/z_noisy.off", *SHAPE} <= {m.entry.id for m in found.members}
    for member in found.members:
        expected = similarity[names.index(member.entry.id)].max()
        assert member.similarity == pytest.approx(expected, abs=1e-5)
        assert member.entry.id in SHAPE or expected >= threshold
    assert audit.features is not None
    assert audit.features.near == [(mark, int((similarity.max(1) >= mark).sum())) for mark, _ in audit.features.near]
    assert "bench/train/z_noisy.off" not in {m.entry.id for g in strict.groups for m in g.members}
    assert strict.levels["feature"].shapes >= strict.levels["geometry"].shapes


def test_a_model_that_sees_other_settings_is_refused_before_any_work(seen: Path) -> None:
    with pytest.raises(MismatchError, match="size"):
        audit_artefacts(open_artefacts(seen), bar=None, model=untrained(32))  # type: ignore[arg-type]


def test_a_run_to_which_shapes_of_a_class_are_one_point_is_refused_before_any_work(
    planted: Path, tmp_path: Path
) -> None:
    artefacts = write_artefacts(planted, tmp_path / "out", VoxelSettings(resolution=8, padding=1))
    run = open_run(write_run(tmp_path / "run", artefacts, VoxresnetSettings(width=4), classes=("bench", "table")))
    discriminant = replace(run, comparison=FeatureComparison(discriminant=True))
    with pytest.raises(UsageError, match=r"its last stage is lda.* --model @imagenet"):
        audit_artefacts(artefacts, bar=None, model=discriminant)  # type: ignore[arg-type]


def test_meshes_that_all_failed_are_compared_by_their_bytes(tmp_path: Path) -> None:
    (tmp_path / "meshes").mkdir()
    for name in ("a.off", "b.off"):
        (tmp_path / "meshes" / name).write_text("OFF\n3 1 0\n0 0 0\n")
    artefacts = write_artefacts(tmp_path / "meshes", tmp_path / "out", ViewSettings(size=64))
    audit = audit_artefacts(artefacts, model=untrained(), device="cpu", workers=Workers(1))
    assert groups(audit) == [("content", ["a.off", "b.off"])]
    assert audit.features is not None
    assert {count for _, count in audit.features.near} == {0}


def test_missing_artefacts_are_told(planted: Path, tmp_path: Path) -> None:
    artefacts = write_artefacts(planted, tmp_path / "out", VoxelSettings(resolution=8, padding=1))
    next((tmp_path / "out").rglob("*.binvox")).unlink()
    with pytest.raises(StoredDataError, match="cannot be read"):
        audit_artefacts(artefacts, workers=Workers(1))


def test_what_shows_nothing(planted: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_artefacts(planted, out, VoxelSettings(resolution=8, padding=1, rotations=2))
    (out / "table/test/column_r01.binvox").write_bytes(binvox.write(np.zeros((8, 8, 8), bool)))
    audit = audit_artefacts(open_artefacts(reseal(out)), workers=Workers(1))
    assert [(empty.entry.id, empty.blank, empty.total) for empty in audit.empty] == [("table/test/column.off", 1, 2)]


@pytest.mark.parametrize("threshold", [0, -1, 1.01, float("nan")])
def test_thresholds_that_are_none(threshold: float) -> None:
    with pytest.raises(UsageError, match="--threshold"):
        require_threshold(threshold)


def test_the_voxels_of_modelnet10_have_the_copies_that_are_known(data_dir: Path, tmp_path: Path) -> None:
    """7 empty grids, and 191 redundant copies: 321 grids in 130 groups; copies there differ in label, too."""
    source = data_dir / "modelnet10-voxels-train.npz"
    import_artefacts(source, tmp_path / "out", "voxels-npz", command="", workers=Workers(2))
    audit = audit_artefacts(open_artefacts(tmp_path / "out"), workers=Workers(2))
    content = audit.levels["content"]
    assert (content.groups, content.shapes, content.redundant, content.conflicts) == (130, 321, 191, 7)
    assert [entry.error for entry in audit.failed] == ["the grid is empty"] * 7
    assert audit.levels["geometry"].redundant >= 191
    assert all(group.conflict for group in audit.groups[:7])
