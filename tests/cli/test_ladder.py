"""``shapecnn ladder``: JSON for programs, a table and a page for people, and errors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shapecnn.cli.ladder import _tables
from shapecnn.shared.results import aligned
from tests.cli.conftest import Command, cells
from tests.evaluations import write_splits


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_splits(tmp_path_factory.mktemp("meshes"), train=3, test=2)


RUNGS = ("--rung", "logistic-grids", "--rung", "sph")


def test_json_and_page(collection: Path, tmp_path: Path, command: Command) -> None:
    out = tmp_path / "the ladder"
    done = command("ladder", "--data", collection, "--out", out, *RUNGS, "--device", "cpu", "--json")
    assert done.status == 0
    answer = done.json("ladder")
    assert [(rung["name"], rung["input"], rung["run"]) for rung in answer["rungs"]] == [
        ("logistic-grids", "grids", "logistic-grids"),
        ("sph", "grids64", None),
    ]
    assert json.loads((out / "report" / "ladder.json").read_text()) == answer
    assert done.stderr.endswith(f"Wrote {out / 'report' / 'report.html'}\n")
    table = command("ladder", "--data", collection, "--out", out, *RUNGS, "--device", "cpu").stdout
    assert table.splitlines()[2].startswith("Spherical harmonics (SPH)")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--rung", "lenett"), "There is no rung 'lenett'. Use one of: lenet"),
        (("--rung", "sph", "--set", "network.kernel=3", "--rung", "logistic-grids"), "network.kernel"),
        (("--rung", "sph", "--workers", "0"), "--workers"),
    ],
)
def test_wrong_options_are_status_2(
    options: tuple[str, ...], message: str, collection: Path, tmp_path: Path, command: Command
) -> None:
    done = command("ladder", "--data", collection, "--out", tmp_path / "out", *options)
    assert done.status == 2
    assert message in done.stderr
    assert not (tmp_path / "out" / "grids").exists()


def test_at_a_terminal_costs_are_a_table_of_their_own(screen: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """One table with all columns would be wider than most screens."""
    figures = ["mean class accuracy", "macro mAP", "accuracy", "mAP", "NN"]
    header = ["rung", "input", *figures, "parameters", "training", "ms a shape"]
    rate = "90.5 % (88.1–92.9)"
    rows = [
        header,
        *([title, "views", *[rate] * 5, "3.54 M", "12.2 min", "41.7"] for title in ("MVCNN, frozen", "SPH")),
    ]
    lines = _tables(rows)
    assert max(map(len, lines)) <= 80
    assert sum(line.startswith("SPH ") for line in lines) == 2
    assert cells(lines)[-1] == ["SPH", "views", "3.54 M", "12.2 min", "41.7"]
    assert "".join(lines).count("(88.1–92.9)") == 10
    monkeypatch.undo()
    assert _tables(rows) == aligned(rows)
