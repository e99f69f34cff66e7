"""Same inputs, settings and seed, and the same bits: in processes of their own, whose sets and dictionaries of strings
are ordered otherwise, and with another number of workers. (Training within one process: training/test_trainer.py.)"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT
from tests.evaluations import write_splits
from tests.solids import contents
from tests.training.data import VOXRESNET, experiment, stage

COMMANDS = """
    render meshes sheets --size 48 --orientation auto --workers {workers}
    render meshes simplified --size 48 --max-faces 100 --simplify --workers {workers}
    voxelize meshes grids --resolution 16 --padding 1 --rotations 3 --workers {workers}
    train config.yaml --data grids --out run
    metric run --data grids --size 4
    index meshes index --model run --workers {workers}
    eval run --data grids --out report
"""
RUN = """
import contextlib, sys
from shapecnn.cli import main
if __name__ == "__main__":
    for line in sys.stdin:
        if line.strip():
            sys.argv = ["shapecnn", *line.split()]
            with contextlib.suppress(SystemExit):
                main.run()
"""


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """All that the commands leave, of a first time and of a second one at the same place."""
    folder = tmp_path_factory.mktemp("determinism")
    trained = experiment(
        stage("grids", epochs=2, augment={"flip": True, "turn": True, "shift": 1}),
        network=VOXRESNET.model_copy(update={"dropout": 0.3}),
        validation={"folds": 3},
    )
    left = []
    for time, workers in (("1", 1), ("2", 3)):
        here = folder / "here"
        write_splits(here / "meshes", train=4, test=2)
        (here / "config.yaml").write_text(yaml.safe_dump(trained.model_dump(mode="json")))
        (here / "all.py").write_text(RUN)
        environment = os.environ | {"PYTHONHASHSEED": time, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "all.py"], cwd=here, env=environment, input=COMMANDS.format(workers=workers),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (here / "report" / "evaluation.json").exists(), done.stderr
        left.append(contents(here))
        here.rename(folder / time)
    return left[0], left[1]


def within(folder: str, left: dict[str, bytes]) -> dict[str, bytes]:
    return {name: data for name, data in left.items() if name.startswith(f"{folder}/")}


@pytest.mark.parametrize(
    ("folder", "files"),
    [
        ("sheets", {"sheets/box/test/4.png", "sheets/manifest.parquet", "sheets/settings.json"}),
        ("simplified", {"simplified/round/test/4.png", "simplified/manifest.parquet"}),
        ("grids", {"grids/box/test/4_r02.binvox", "grids/manifest.parquet", "grids/settings.json"}),
        ("index", {"index/features.safetensors", "index/shapes.parquet", "index/index.json"}),
        ("report", {"report/evaluation.json", "report/predictions.parquet", "report/report.html"}),
    ],
)
def test_all_files_are_the_same(folder: str, files: set[str], twice: tuple[dict[str, bytes], dict[str, bytes]]) -> None:
    first, second = (within(folder, left) for left in twice)
    assert files <= set(first)
    assert set(first) == set(second)
    assert [name for name in first if first[name] != second[name]] == []


def test_a_run_is_the_same_but_for_how_long_it_took(twice: tuple[dict[str, bytes], dict[str, bytes]]) -> None:
    first, second = (within("run", left) for left in twice)
    assert {"run/model.safetensors", "run/split.json", "run/metric.safetensors"} <= set(first)
    assert set(first) == set(second)
    differing = {name for name in first if first[name] != second[name]}
    assert differing <= {"run/metrics.jsonl", "run/model.json", "run/metric.json", "run/SHA256SUMS"}
    for name in differing - {"run/SHA256SUMS"}:
        assert _timeless(first[name]) == _timeless(second[name]), name


def _timeless(lines: bytes) -> Any:
    def without(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: without(inner) for key, inner in value.items() if key not in ("seconds", "hash")}
        return [without(inner) for inner in value] if isinstance(value, list) else value

    try:
        return without(json.loads(lines))
    except ValueError:
        return [without(json.loads(line)) for line in lines.splitlines()]
