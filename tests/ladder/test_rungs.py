"""Rungs of the ladder: each has a config that fits its input, and says its idea in three sentences."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shapecnn.errors import UsageError
from shapecnn.ladder.inputs import input_settings
from shapecnn.ladder.rungs import RUNGS, Rung, choose_rungs
from shapecnn.models.input import Input
from shapecnn.models.model import resolve_model
from shapecnn.settings.experiment import load_experiment

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "ladder"


def test_names_and_titles_differ() -> None:
    assert len({rung.name for rung in RUNGS}) == len({rung.title for rung in RUNGS}) == len(RUNGS)


def test_every_config_of_the_ladder_is_trained_by_a_rung() -> None:
    assert {file.stem for file in CONFIGS.glob("*.yaml")} == {rung.run for rung in RUNGS if rung.run}


@pytest.mark.parametrize("rung", RUNGS, ids=lambda rung: rung.name)
def test_an_idea_has_three_sentences(rung: Rung) -> None:
    assert len(re.findall(r"[.)](?= [A-Z]|$)", rung.idea.replace("et al.", "et al"))) == 3


@pytest.mark.parametrize("rung", RUNGS, ids=lambda rung: rung.name)
def test_model_and_input_fit(rung: Rung) -> None:
    settings = input_settings(rung.input, "y")
    assert settings.up == "y"
    if rung.run is None:
        assert resolve_model(str(rung.model), {"up": "y"}).input == Input(settings)
        return
    experiment = load_experiment(f"ladder/{rung.run}")
    assert settings.kind in experiment.network.inputs
    assert (experiment.validation.folds, experiment.validation.select) == (0, "last")
    if rung.trained_as:
        assert rung.input == next(other for other in RUNGS if other.name == rung.trained_as).input


def test_a_rung_is_compared_with_another_one() -> None:
    names = [rung.name for rung in RUNGS]
    assert all(rung.below is None or rung.below[0] in names[: names.index(rung.name)] for rung in RUNGS)


def test_rungs_are_chosen_by_name_in_the_order_of_the_ladder() -> None:
    assert choose_rungs([]) == RUNGS
    assert [rung.name for rung in choose_rungs(["sph", "lenet"])] == ["lenet", "sph"]
    with pytest.raises(UsageError, match=r"There is no rung 'lenets'\. Use one of: lenet"):
        choose_rungs(["lenets"])
