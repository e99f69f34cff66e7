"""Parts of an index that a cluster makes, without the cluster; tests/cli/test_cluster.py has Ray."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shapecnn.errors import MismatchError
from shapecnn.search.changes import IndexChanges
from shapecnn.search.features import compute_rows
from shapecnn.search.index import HEADER, read_index
from shapecnn.search.known import Known, KnownRow
from shapecnn.search.on_cluster import index_on_cluster
from shapecnn.search.plan import IndexRequest, plan_index
from shapecnn.search.update import bring_up_to_date
from shapecnn.workers.pool import Workers
from tests.clusters import one_process, write_meshes
from tests.sealing import forge
from tests.solids import contents, write_two_classes


def divided(meshes: Path, folder: Path, **options: Any) -> IndexChanges:
    plan = plan_index(folder, IndexRequest(**options))
    return index_on_cluster(meshes, folder, plan, "ray", command="again", workers=Workers(1))


def local(meshes: Path, folder: Path, **options: Any) -> IndexChanges:
    plan = plan_index(folder, IndexRequest(**options))
    return bring_up_to_date(meshes, folder, plan, device="cpu", workers=Workers(1))


def same(one: IndexChanges, other: IndexChanges) -> bool:
    return replace(one, seconds=0) == replace(other, seconds=0)


FORMS: list[dict[str, Any]] = [
    {},
    {"rows": "small", "kind": "ivf"},
    {"rows": "small", "pictures": False},
]


@pytest.mark.parametrize("form", FORMS)
def test_an_update_is_that_of_one_machine(form: dict[str, Any], views_run: Path, tmp_path: Path) -> None:
    meshes, out, alone = tmp_path / "meshes", tmp_path / "out", tmp_path / "local"
    write_two_classes(meshes)
    options = {"model": str(views_run), **form}
    with one_process():
        assert same(divided(meshes, out, **options), local(meshes, alone, **options))
    assert contents(out) == contents(alone)
    first = read_index(out)
    (meshes / "box/train/1.off").rename(meshes / "box/train/renamed.off")  # in another shard, maybe
    (meshes / "box/train/2.off").unlink()
    write_meshes(meshes, 0, "new")
    with one_process():
        assert same(divided(meshes, out), local(meshes, alone))
    assert contents(out) == contents(alone)
    assert read_index(out).form == first.form


def test_an_interrupted_index_is_continued(views_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    meshes, out = write_two_classes(tmp_path / "meshes"), tmp_path / "out"
    computed: list[str] = []

    def counting(shapes: Any, stored: Any, *rest: Any) -> Any:
        computed.extend(shape.id for shape in shapes if shape.id not in stored)
        return compute_rows(shapes, stored, *rest)

    monkeypatch.setattr("shapecnn.search.update.compute_rows", counting)
    with one_process(stop=1), pytest.raises(KeyboardInterrupt):
        divided(meshes, out, model=str(views_run))
    begun = len(computed)
    with one_process():
        divided(meshes, out, model=str(views_run))
    assert begun > 0
    assert len(computed) == 6 + sum("bad" in shape_id for shape_id in computed[:begun])
    local(meshes, tmp_path / "local", model=str(views_run))
    assert contents(out) == contents(tmp_path / "local")


def test_nodes_of_two_kinds_are_told_and_the_same_command_ends(views_run: Path, tmp_path: Path) -> None:
    meshes, out = write_meshes(tmp_path / "meshes", 12), tmp_path / "out"
    engine = {"engine": "torch 2.9.0", "precision": "bfloat16", "device": "cuda"}

    def forge_one() -> None:
        part = next(path for path in sorted(out.glob(".partial/parts/*/*")) if path.is_dir())
        forge(part, HEADER, lambda header: header | {"engine": engine})

    message = "round differently: features of 2 shards by .* on cpu, 1 shard by torch 2.9.0 in bfloat16 on cuda. Run "
    with one_process(afterwards=forge_one), pytest.raises(MismatchError, match=message):
        divided(meshes, out, model=str(views_run))
    with one_process():
        assert divided(meshes, out, model=str(views_run)).added == 12
    local(meshes, tmp_path / "local", model=str(views_run))
    assert contents(out) == contents(tmp_path / "local")


def test_a_shard_opens_only_its_rows(solids_index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = shutil.copytree(solids_index, tmp_path / "index")
    index = read_index(folder)
    held = {index.shapes[3].id: KnownRow(3, index.shapes[3].sha256)}
    monkeypatch.setattr("shapecnn.search.index.read_table", None)  # nor the list of shapes
    (row,) = Known(folder, held, {}).rows(views=True).values()
    feature, views, _ = row.read()
    assert feature.tobytes() == index.features[3].tobytes()
    expected = index.row(3).views
    assert views is not None
    assert expected is not None
    assert views.tobytes() == expected.tobytes()
