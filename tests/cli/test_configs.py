from __future__ import annotations

from pathlib import Path

import pytest

from shapecnn.settings.config_files import shipped
from shapecnn.settings.experiment import load_experiment
from tests.cli.conftest import Command
from tests.conftest import ROOT


def test_all_are_listed_with_a_sentence(command: Command) -> None:
    done = command("configs")
    assert done.status == 0
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == sorted(
        str(path.relative_to(ROOT / "configs").with_suffix("")) for path in (ROOT / "configs").rglob("*.yaml")
    )
    assert all(len(line.split(maxsplit=1)[1]) > 20 for line in lines)
    answer = command("configs", "--json").json("configs")
    assert [each["name"] for each in answer["configs"]] == sorted(shipped())


def test_one_is_shown_and_can_be_trained_by(tmp_path: Path, command: Command) -> None:
    shown = command("configs", "mvcnn-psb").stdout
    (tmp_path / "mine.yaml").write_text(shown)
    assert load_experiment(str(tmp_path / "mine.yaml")) == load_experiment("mvcnn-psb")
    done = command("configs", "mvcnn-pbs")
    assert (done.status, "Did you mean mvcnn-psb?" in done.stderr) == (2, True)


@pytest.mark.parametrize("typed", ["backbone", "network.backbone"])
def test_a_short_name_is_enough_where_it_is_unambiguous(typed: str) -> None:
    assert load_experiment("mvcnn-psb", {typed: "resnet18"}).network.backbone == "resnet18"  # type: ignore[union-attr]
    assert load_experiment("mvcnn-psb", {"folds": 7}).validation.folds == 7
    assert load_experiment("mvcnn-psb", {"shrinkage": 0.7}).stages[-1].shrinkage == 0.7  # type: ignore[union-attr]
