"""What a training that was interrupted knows of itself, and what may be said to it when it goes on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from shapecnn.artefacts.subset import Subset
from shapecnn.errors import MismatchError, StoredDataError, UsageError
from shapecnn.settings.experiment import load_experiment
from shapecnn.training.plan import Plan, new_plan, plan_to_resume, stored_plan
from tests.solids import contents
from tests.training.data import Interrupted, Witness, run_plan, stage

CONFIG = {
    "network": {"kind": "mvcnn", "backbone": "test_efficientnet", "weights": "none"},
    "validation": {"folds": 2},
    "precision": "float32",
    "stages": [stage("head", train_from="head", epochs=2)],
}
CHANGED = {"stages.head.epochs": 1, "seed": 3}
SUBSET = Subset(4, 1)


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(CONFIG))
    return str(path)


@pytest.fixture(scope="module", params=["unfinished", "finished"])
def training(request: pytest.FixtureRequest, views: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training that was begun with ``--set``, ``--seed`` and ``--subset``."""
    folder = tmp_path_factory.mktemp("begun")
    (folder / "mine.yaml").write_text(yaml.safe_dump(CONFIG))
    out, plan = folder / "my run", new_plan(str(folder / "mine.yaml"), CHANGED, views, SUBSET)
    witness = Witness(lambda moments: request.param == "unfinished" and ", epoch 1" in moments[-1])
    try:
        run_plan(plan, out, witness)
    except Interrupted:
        assert not (out / "model.json").exists()
    return out


@pytest.fixture
def begun(training: Path, tmp_path: Path) -> Path:
    """A copy of that training, to be changed."""
    return Path(shutil.copytree(training, tmp_path / "my run"))


def test_it_knows_its_config_its_data_and_its_subset(begun: Path, config: str, views: Path) -> None:
    plan = plan_to_resume(begun)
    assert plan.experiment == load_experiment(config, CHANGED)
    assert (plan.data, plan.subset) == (views, SUBSET)


@pytest.mark.parametrize("values", [{}, CHANGED, {"epochs": 1}, {"seed": 3}])
def test_what_it_was_begun_with_may_be_said_again_or_not(begun: Path, config: str, values: dict[str, int]) -> None:
    """The config by itself is known again, with any of what was set."""
    known = plan_to_resume(begun)
    assert plan_to_resume(begun, None, values) == known
    if not (begun / "model.json").exists():
        assert plan_to_resume(begun, config, values, subset=SUBSET) == known
    assert plan_to_resume(begun, config, CHANGED) == known
    assert plan_to_resume(begun, str(begun / "config.yaml"), values) == known


@pytest.mark.parametrize("typed", ["mine.yaml", "nothing"])
def test_other_values_are_refused_with_both(begun: Path, config: str, typed: str) -> None:
    before = contents(begun)
    with pytest.raises(MismatchError) as caught:
        plan_to_resume(begun, config if typed == "mine.yaml" else None, {"epochs": 5, "seed": 3})
    message = str(caught.value)
    assert "stages.head.epochs was 1 and is now 5" in message
    assert "seed" not in message
    assert "--set" not in message
    assert "--overwrite" not in message
    assert "). Choose another folder" in message
    assert contents(begun) == before


def test_another_config_is_refused_with_the_difference(begun: Path, config: str, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(yaml.safe_dump(CONFIG | {"stages": [stage("head", train_from="head", epochs=2, batch=8)]}))
    with pytest.raises(MismatchError, match=r"stages\.head\.batch was 4 and is now 8"):
        plan_to_resume(begun, str(other))


def test_another_subset_is_refused_with_both(begun: Path) -> None:
    with pytest.raises(MismatchError, match=r"--subset was 4\+1 and is now 5\+1"):
        plan_to_resume(begun, subset=Subset(5, 1))


def test_values_that_are_wrong_are_told_as_ever(begun: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'epochs'"):
        plan_to_resume(begun, None, {"stages.head.epoch": 1})


def test_data_that_has_moved_is_asked_for(begun: Path, config: str, views: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(views, tmp_path / "views")
    unfinished, out = not (begun / "model.json").exists(), tmp_path / "other run"
    with pytest.raises(Interrupted):
        run_plan(new_plan(config, {}, moved), out, Witness(lambda moments: ", epoch 1" in moments[-1]))
    moved.rename(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match=r"is no longer at .*views\. .*: shapecnn train --resume .* --data DIR$"):
        plan_to_resume(out)
    assert plan_to_resume(out, data=tmp_path / "elsewhere").data == tmp_path / "elsewhere"
    if unfinished:
        assert plan_to_resume(begun, data=tmp_path / "elsewhere").subset == SUBSET


def test_data_is_named_from_where_one_stands(
    config: str, views: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run holds no absolute path because it was interrupted."""
    shutil.copytree(views, tmp_path / "views")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Interrupted):
        run_plan(new_plan(config, {}, Path("views")), Path("run"), Witness(lambda moments: ", epoch 1" in moments[-1]))
    assert plan_to_resume(Path("run")).data == Path("views")
    (tmp_path / "deeper").mkdir()
    monkeypatch.chdir("deeper")
    assert plan_to_resume(Path("../run")).data == tmp_path / "views"


def test_where_nothing_was_begun_a_config_and_data_begin(config: str, views: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert stored_plan(out) is None
    assert plan_to_resume(out, config, {}, views) == new_plan(config, {}, views)
    for words in ((None, {}, views), (config, {}, None)):
        with pytest.raises(UsageError, match=r"run contains no training to resume\. To start one: shapecnn"):
            plan_to_resume(out, *words)


@pytest.mark.parametrize("origin", ["{}", "[1]", '{"plan": {"config": {}}}', '{"plan": {"config": 3, "data": 1}}'])
def test_an_origin_that_holds_something_else_is_told(origin: str, tmp_path: Path) -> None:
    from shapecnn.storage.publishing import publish
    from shapecnn.storage.unfinished import claim

    claim(tmp_path / "resume")
    publish(tmp_path / "resume", {"origin.json": origin.encode()})
    with pytest.raises(StoredDataError, match=r"origin\.json has invalid content"):
        stored_plan(tmp_path)


def test_a_plan_survives_its_file(config: str, views: Path) -> None:
    plan = new_plan(config, CHANGED, views, SUBSET)
    assert Plan.read(plan.to_json()) == plan
