"""Configs: what is read, what --set changes, and one sentence for whatever is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from shapecnn.errors import UsageError
from shapecnn.models.run_files import config_bytes
from shapecnn.settings.base import parse_assignments
from shapecnn.settings.config_files import shipped
from shapecnn.settings.experiment import Experiment, has_setting, load_experiment
from shapecnn.settings.networks import MvcnnSettings, ShapenetsSettings, VoxresnetSettings
from shapecnn.settings.stages import GradientStage, LdaStage

CONFIG = """
network: {kind: mvcnn, backbone: test_efficientnet, weights: none}
validation: {folds: 4}
stages:
- {kind: gradient, name: head, pooled: false, train_from: head, epochs: 3, learning_rate: 1e-3}
- {kind: gradient, name: pooled, epochs: 2, learning_rate: 0.01, augment: {flip: true}}
- {kind: lda, name: closed}
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "mine.yaml"
    path.write_text(CONFIG)
    return str(path)


@pytest.fixture
def refused(config: str) -> Callable[..., str]:
    """The one line with which the config is refused, changed by ``--set``."""

    def attempt(*assignments: str, **values: Any) -> str:
        with pytest.raises(UsageError) as caught:
            load_experiment(config, {**parse_assignments(assignments), **values})
        message = str(caught.value)
        assert "\n" not in message
        assert "pydantic" not in message
        return message.removeprefix(f"{config}: ")

    return attempt


def test_a_config_is_read_with_its_defaults(config: str) -> None:
    read = load_experiment(config)
    assert read.network == MvcnnSettings(backbone="test_efficientnet", weights="none")
    assert (read.validation.folds, read.validation.fold, read.seed) == (4, 0, 0)
    head, pooled, closed = read.stages
    assert head == GradientStage(name="head", pooled=False, train_from="head", epochs=3, learning_rate=1e-3)
    assert isinstance(pooled, GradientStage)
    assert (pooled.pooled, pooled.augment.flip, pooled.learning_rate) == (True, True, 0.01)
    assert closed == LdaStage(kind="lda", name="closed")


def test_views_that_are_pooled_early_have_no_maps(refused: Callable[..., str]) -> None:
    told = refused("network.pool_at=early", "network.maps=layer4")
    assert "pool_at early cannot be combined with maps" in told


def test_an_adapter_pools_features_in_their_order(refused: Callable[..., str]) -> None:
    adapter = "network.pooling=adapter"
    told = refused(adapter, "network.pool_at=early", "stages.pooled.augment.flip=false")
    assert told == "network: pooling adapter combines features, not maps of the backbone; use pool_at late."
    assert refused(adapter) == (
        "stages.pooled.augment.flip mirrors each view but not the order of the views, which pooling adapter reads; set "
        "it to false."
    )


@pytest.mark.parametrize("kind", ["shapenets", "voxresnet"])
def test_the_kind_decides_which_network_it_is(config: str, kind: str) -> None:
    read = load_experiment(config, {"network": {"kind": kind}})
    assert read.network == {"shapenets": ShapenetsSettings(), "voxresnet": VoxresnetSettings()}[kind]


def test_what_was_resolved_reads_back_as_the_same(config: str, tmp_path: Path) -> None:
    read = load_experiment(config, {"stages.pooled.clip": 1e-7})
    written = config_bytes(read)
    (tmp_path / "again.yaml").write_bytes(written)
    again = load_experiment(str(tmp_path / "again.yaml"))
    assert again == read
    assert again.digest() == read.digest()
    assert config_bytes(again) == written
    assert yaml.safe_load(written)["stages"][0]["weight_decay"] == 0  # every key is there


@pytest.mark.parametrize("stage", ["pooled", "1"])
def test_a_stage_is_found_by_name_and_by_number(config: str, stage: str) -> None:
    changed = load_experiment(
        config, parse_assignments((f"stages.{stage}.epochs=7", f"stages.{stage}.augment.shift=3"))
    )
    head, pooled, _ = changed.stages
    assert isinstance(head, GradientStage)
    assert isinstance(pooled, GradientStage)
    assert (head.epochs, pooled.epochs) == (3, 7)
    assert (pooled.augment.flip, pooled.augment.shift) == (True, 3)  # what was there stays


def test_values_are_set_wherever_they_are(config: str) -> None:
    changed = load_experiment(
        config, parse_assignments(("seed=5", "validation.fold=3", "network.pooling=mean", "stages.0.augment.flip=true"))
    )
    assert changed.network == MvcnnSettings(backbone="test_efficientnet", weights="none", pooling="mean")
    assert (changed.seed, changed.validation.fold, changed.validation.folds) == (5, 3, 4)
    assert isinstance(changed.stages[0], GradientStage)
    assert changed.stages[0].augment.flip  # made on the way, for the file has none here


def test_all_stages_may_be_replaced(config: str) -> None:
    changed = load_experiment(config, parse_assignments(("stages=[{kind: lda, name: only}]",)))
    assert changed.stages == (LdaStage(kind="lda", name="only"),)


@pytest.mark.parametrize(
    ("assignment", "sentence"),
    [
        ("bakcbone=x", "--set bakcbone: unknown key; did you mean network.backbone?"),
        ("lr=3", "--set lr: unknown key; did you mean stages.head.learning_rate or "
                 "stages.pooled.learning_rate?"),
        ("shrink=1", "--set shrink: unknown key; did you mean stages.closed.shrinkage?"),
        ("flods=3", "--set flods: unknown key; did you mean validation.folds?"),
        ("filp=true", "--set filp: unknown key; did you mean stages.head.augment.flip or "
                      "stages.pooled.augment.flip?"),
        ("stages-closed-scale=1", "--set stages-closed-scale: unknown key; did you mean stages.closed.scale?"),
        ("zzz=4", "Unknown key 'zzz'; known keys: network, target, one_vs_rest, validation, seed, precision, stages."),
        ("sed=1", "Unknown key 'sed'; did you mean 'seed'?"),
        ("network.bakcbone=x", "Unknown key 'network.bakcbone'; did you mean 'backbone'?"),
        ("validaton.folds=3", "Unknown key 'validaton'; did you mean 'validation'?"),
        ("validation.flods=3", "Unknown key 'validation.flods'; did you mean 'folds'?"),
        ("stages.head.epoch=3", "Unknown key 'stages.0.epoch'; did you mean 'epochs'?"),
        ("stages.1.augment.filp=1", "Unknown key 'stages.1.augment.filp'; did you mean 'flip'?"),
        ("stages.closed.shrinkag=1", "Unknown key 'stages.2.shrinkag'; did you mean 'shrinkage'?"),
        ("stages.closed.epochs=1", "Unknown key 'stages.2.epochs'; known keys: kind, name, shrinkage, scale, profile."),
        ("network.turns=4", "Unknown key 'network.turns'; known keys: kind, backbone, weights, resize, maps, "
                            "pooling, width, pool_at, dropout."),
    ],
)  # fmt: skip
def test_an_unknown_key_comes_with_a_near_one(refused: Callable[..., str], assignment: str, sentence: str) -> None:
    assert refused(assignment) == sentence


@pytest.mark.parametrize(
    ("assignment", "start"),
    [
        ("stages.head.epochs=0", "stages.0.epochs = 0: Input should be greater than or equal to 1."),
        ("stages.0.epochs=many", "stages.0.epochs = 'many': Input should be a valid integer"),
        ("stages.0.learning_rate=0", "stages.0.learning_rate = 0: Input should be greater than 0."),
        ("stages.0.learning_rate=.inf", "stages.0.learning_rate = inf: Input should be a finite number."),
        ("stages.0.learning_rate=.nan", "stages.0.learning_rate = nan: "),
        ("stages.0.optimizer=lbfgs", "stages.0.optimizer = 'lbfgs': Input should be 'sgd', 'adam', 'adamw', 'adagrad'"),
        ("stages.0.name=a b", "stages.0.name = 'a b': String should match pattern"),
        ("stages.0.batch=1", "stages.0.batch = 1: Input should be greater than or equal to 2."),
        ("network.dropout=1", "network.dropout = 1: Input should be less than 1."),
        ("network.kind=mvccn", "network.kind = 'mvccn' is not one of mvcnn, shapenets, voxresnet, linear, mlp, lenet."),
        ("network={}", "network.kind is missing."),
        ("network=mvcnn", "network = 'mvcnn': "),
        ("validation=5", "validation = 5: "),
        ("stages=[]", "stages: Tuple should have at least 1 item"),
        ("stages=[{kind: gradient, name: a, learning_rate: 1}]", "stages.0.epochs is missing."),
        ("stages=[3]", "stages.0 = 3: "),
        ("stages.0.pooled=1", "stages.0.pooled = 1: Input should be true or false."),
        ("stages.0.pooled=yes", "stages.0.pooled = 'yes': Input should be true or false."),
        ("stages.0.epochs=true", "stages.0.epochs = true: Input should be a valid integer."),
        ("stages.0.epochs='3'", "stages.0.epochs = '3': Input should be a valid integer."),
        ("stages.0.learning_rate='0.1'", "stages.0.learning_rate = '0.1': Input should be a valid number."),
        ("network.resize=true", "network.resize.constrained-int = true: Input should be a valid integer."),
        ("network={kind: shapenets, turns: true}", "network.turns = true: Input should be a valid integer."),
    ],
)
def test_a_bad_value_is_told_where_it_is(refused: Callable[..., str], assignment: str, start: str) -> None:
    assert refused(assignment).startswith(start)


@pytest.mark.parametrize(
    ("assignments", "sentence"),
    [
        (["validation.folds=1"], "validation: folds 1 would leave nothing to train on; use 0"),
        (["validation.fold=4"], "validation: fold 4 does not exist; with 4 folds, use 0 to 3."),
        (["validation.folds=0"], "validation: folds 0 leaves no validation data .* set select to last"),
        (["stages.closed.name=head"], "stage names must differ: head, pooled, head."),
        (["stages.pooled.augment.turn=true"], "stages.pooled.augment.turn works on grids only; mvcnn takes pictures"),
        (
            ["stages.head.augment.shift=2"],
            "stages.head: augment.shift, turn and stretch cannot be used .* set train_from to null.",
        ),
        (
            ["network={kind: voxresnet}", "stages.head.augment.turn=true"],
            "stages.head: augment.shift, turn and stretch cannot be used .* set train_from to null.",
        ),
        (
            ["validation={folds: 0, select: last}", "stages.pooled.schedule=plateau"],
            "stages.pooled: plateau and early_stopping need validation data; set validation.folds to 5.",
        ),
        (
            ["validation={folds: 0, select: last}", "stages.pooled.early_stopping=3"],
            "stages.pooled: plateau and early_stopping need validation data",
        ),
        (
            ["stages.closed.profile=true"],
            "stages.closed: profile needs shapenets or voxresnet, and a stage of kind gradient .*; set it to false.",
        ),
        (
            ["network={kind: shapenets}", "stages=[{kind: lda, name: closed, profile: true}]"],
            "stages.closed: profile needs shapenets or voxresnet, and a stage of kind gradient .*; set it to false.",
        ),
        (
            ["target=area"],
            "stages.closed: a stage of kind lda fits classes, not the area; use a stage of kind gradient",
        ),
        (
            ["target=volume", "stages=[{kind: gradient, name: a, epochs: 1, learning_rate: 1}]"],
            "stages.a: loss softmax is for classes, but target is volume; set loss to squared.",
        ),
        (
            [
                "target=volume",
                "stages=[{kind: gradient, name: a, loss: squared, balance: true, epochs: 1, learning_rate: 1}]",
            ],
            "stages.a: balance repeats the shapes of small classes, but target is volume; set balance to false.",
        ),
        (
            [
                "target=volume",
                "stages=[{kind: gradient, name: a, loss: squared, label_smoothing: 0.1, epochs: 1, learning_rate: 1}]",
            ],
            "stages.a: label_smoothing needs loss softmax; set it to 0.",
        ),
        (
            ["target=area", "network={kind: mlp, activation: sigmoid}", "stages=[{name: a, kind: rbm}]"],
            "target area needs a stage of kind gradient with loss squared.",
        ),
        (["target=area", "one_vs_rest=mug"], "one_vs_rest divides classes, but target is area; leave one of them out."),
        (
            ["stages.pooled.loss=squared"],
            "stages.pooled: loss squared is for a continuous target; set target to area or volume, or loss to softmax.",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_told_in_a_sentence(
    refused: Callable[..., str], assignments: list[str], sentence: str
) -> None:
    assert re.match(sentence, refused(*assignments))


def test_what_is_allowed_next_to_what_is_refused(config: str) -> None:
    load_experiment(config, parse_assignments(("validation={folds: 0, select: last}",)))
    load_experiment(config, parse_assignments(("stages.pooled.schedule=plateau", "stages.pooled.augment.shift=2")))
    load_experiment(config, parse_assignments(("network={kind: voxresnet}", "stages.pooled.augment.turn=true")))


def test_each_wrong_thing_has_its_sentence(refused: Callable[..., str]) -> None:
    message = refused("seed=-1", "network.pooling=sum", "stages.0.epoch=1")
    assert message == (
        "network.pooling = 'sum': Input should be 'max', 'mean' or 'adapter'. "
        "seed = -1: Input should be greater than or equal to 0. "
        "Unknown key 'stages.0.epoch'; did you mean 'epochs'?"
    )


@pytest.mark.parametrize(
    ("assignment", "sentence"),
    [
        (
            "stages.poled.clip=8",
            "--set stages.poled.clip: there is no stage 'poled'; the stages are head, pooled, closed.",
        ),
        ("stages.3.epochs=1", "--set stages.3.epochs: there is no stage '3'; the stages are head, pooled, closed."),
        ("stages.-1.epochs=1", "--set stages.-1.epochs: there is no stage '-1'; the stages are head, pooled, closed."),
        ("stages.pooled=1", "--set stages.pooled: say which key of 'pooled' to set, such as stages.pooled.epochs."),
        ("network.kind.x=1", "--set network.kind.x: network.kind is a single value and has no keys."),
    ],
)  # fmt: skip
def test_a_place_that_is_not_there_is_told(refused: Callable[..., str], assignment: str, sentence: str) -> None:
    assert refused(assignment) == sentence


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"network: [", "cannot be read as YAML"),
        (b"\xff\xfe\x00\xd8", "cannot be read as YAML"),
        (b"!!python/object/apply:os.getcwd []", "cannot be read as YAML"),
        (b"", "is not a config: it contains no keys"),
        (b"- a\n- b", "is not a config: it contains no keys"),
        (b"a", "is not a config: it contains no keys"),
        (b"1: 2", "Unknown key '1'; known keys"),
        (b"network: {1: 2, kind: mvcnn}", "network.1"),
        (b"seed: 1", "network is missing. stages is missing."),
    ],
)
def test_a_file_of_something_else_is_refused(content: bytes, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        load_experiment(str(path))
    assert sentence in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_merge_keys_and_aliases_are_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "network: {kind: mvcnn}\n"
        "stages:\n"
        "- &first {kind: gradient, name: a, epochs: 3, learning_rate: 1e-3, augment: &augment {flip: true}}\n"
        "- {<<: *first, name: b, epochs: 2}\n"
    )
    one, other = load_experiment(str(path), {"stages.b.augment.shift": 2}).stages
    assert isinstance(one, GradientStage)
    assert isinstance(other, GradientStage)
    assert (other.name, other.epochs, other.learning_rate, other.augment.flip) == ("b", 2, 1e-3, True)
    assert (one.augment.shift, other.augment.shift) == (0, 2)  # what was merged is a copy


def test_parts_that_are_only_referred_to_have_a_place(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "x-usual: &usual {epochs: 3, learning_rate: 1e-3}\n"
        "network: {kind: mvcnn}\n"
        "stages: [{<<: *usual, kind: gradient, name: a}]\n"
    )
    (stage,) = load_experiment(str(path)).stages
    assert isinstance(stage, GradientStage)
    assert (stage.epochs, stage.learning_rate) == (3, 1e-3)
    path.write_text(path.read_text().replace("x-usual", "usual"))
    with pytest.raises(
        UsageError, match=r"Unknown key 'usual'; .* If this key only defines an anchor \(&name\), rename it 'x-usual'\."
    ):
        load_experiment(str(path))


def test_a_config_of_50000_unknown_keys_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("".join(f"key{i}: {i}\n" for i in range(50_000)))
    with pytest.raises(UsageError, match="cannot be read as YAML: the text is longer than 256 KB"):
        load_experiment(str(path))
    path.write_text("".join(f"k{i}: 1\n" for i in range(20_000)))
    with pytest.raises(UsageError, match="cannot be read as YAML: the text has more than 10,000 values in line 10000"):
        load_experiment(str(path))


def test_shipped_configs_are_known_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert shipped()
    for name in shipped():
        assert isinstance(load_experiment(name), Experiment)


def test_a_file_of_that_name_goes_first(config: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    name = sorted(shipped())[0]
    Path(name).write_text(CONFIG)
    assert load_experiment(name) == load_experiment(config)


def test_an_unknown_name_comes_with_a_near_one_or_with_all(tmp_path: Path) -> None:
    name = sorted(shipped())[0]
    for near in (name[:-1], f"{name}.yaml", f"elsewhere/{name}.yaml"):
        with pytest.raises(UsageError, match=f"There is no config '{near}'. Did you mean {name}"):
            load_experiment(near)
    with pytest.raises(UsageError, match=r"There is no config 'lenet'\. Did you mean ladder/lenet\?"):
        load_experiment("lenet")
    with pytest.raises(UsageError, match=r"Did you mean ladder/alexnet or ladder/lenet or "):
        load_experiment("ladder/")
    with pytest.raises(UsageError, match=f"There is no config '§§§'. Shipped configs: .*{name}"):
        load_experiment("§§§")
    with pytest.raises(UsageError, match="is a folder, not a config"):
        load_experiment(str(tmp_path))


def test_what_is_to_be_predicted_changes_settings_only_where_it_is_said(config: str) -> None:
    plain = load_experiment(config)
    assert not {"target", "one_vs_rest"} & plain.model_dump(mode="json").keys()
    assert load_experiment(config, {"target": "class", "one_vs_rest": None}).digest() == plain.digest()
    one = load_experiment(config, {"one_vs_rest": "mug"})
    assert one.model_dump(mode="json")["one_vs_rest"] == "mug"
    assert one.digest() != plain.digest()


def test_the_settings_of_one_experiment_are_told_from_another(config: str) -> None:
    digests = {
        load_experiment(config, parse_assignments(change)).digest()
        for change in (
            [(), ("seed=1",), ("stages.0.epochs=4",), ("stages.2.shrinkage=0.2",), ("network.pool_at=early",)]
        )
    }
    assert len(digests) == 5


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("seed: 1\nseed: 2\n", "the key 'seed' is repeated in line 2"), ("seed: 1\n\tb: 2\n", "in line 2")],
)
def test_what_is_no_yaml_is_told_with_its_line(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=f"mine.yaml cannot be read as YAML: .*{sentence}"):
        load_experiment(str(path))


@pytest.mark.parametrize(
    ("config", "key", "has"),
    [
        ("ladder/lenet", "seed", True),
        ("ladder/lenet", "folds", True),
        ("ladder/lenet", "stages.views.epochs", True),
        ("ladder/lenet", "stages.0.augment.flip", True),
        ("ladder/lenet", "stages.1.epochs", False),
        ("ladder/lenet", "stages.grids.epochs", False),
        ("ladder/lenet", "network.backbone", False),
        ("ladder/mvcnn", "backbone", True),
        ("ladder/logistic-grids", "epochs", False),
        ("ladder/logistic-grids", "stages", True),
        ("ladder/logistic-grids", "nothing.at.all", False),
    ],
)
def test_which_settings_a_config_has(config: str, key: str, has: bool) -> None:
    assert has_setting(config, key) == has
