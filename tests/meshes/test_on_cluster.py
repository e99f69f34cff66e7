"""The division of a collection for a cluster, and what a task looks at; tests/cli/test_cluster.py has the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from shapecnn import __version__
from shapecnn.errors import UsageError
from shapecnn.meshes.collection import list_shapes
from shapecnn.meshes.on_cluster import _begin_run, _look, _number_of_shards
from shapecnn.meshes.shards import Shard, divide, divide_all
from tests.clusters import write_meshes


@pytest.mark.parametrize(
    ("shapes", "slots", "count"),
    [(1, 3, 1), (5, 3, 3), (2000, 3, 6), (3000, 3, 9), (100_000, 3, 12), (100_000, 64, 256), (1000, 1, 3)],
)
def test_the_number_of_shards(shapes: int, slots: int, count: int, tmp_path: Path) -> None:
    assert _number_of_shards(tmp_path / "parts", shapes, slots) == count


def test_an_interrupted_division_is_continued(tmp_path: Path) -> None:
    (tmp_path / "of-7").mkdir()
    assert _number_of_shards(tmp_path, 100_000, 3) == 7


def test_all_shards_at_once_are_those_one_by_one(tmp_path: Path) -> None:
    shapes = list_shapes(write_meshes(tmp_path, 20))
    shards = divide_all(shapes, 3)
    assert shards == [divide(shapes, Shard(number, 3)) for number in (1, 2, 3)]
    assert sum(len(chosen) for chosen, _ in shards) == 20


def test_a_task_of_an_earlier_run_does_not_begin(tmp_path: Path) -> None:
    folder = tmp_path / "out" / ".partial" / "parts"
    folder.parent.mkdir(parents=True)
    first = _begin_run(folder)
    _look(((first, tmp_path), __version__))
    second = _begin_run(folder)
    _look(((second, tmp_path), __version__))
    with pytest.raises(UsageError, match=f"^{tmp_path / 'out'} does not exist there, or is not this machine's: "):
        _look(((first, tmp_path), __version__))


def test_another_version_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"^shapecnn {__version__} is installed there, not 0.0.1: "):
        _look(((tmp_path,), "0.0.1"))
