"""Runs on disk: the same network comes back, and nothing that was altered, cut short or made to run code does."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from shapecnn.artefacts.manifest import Entry
from shapecnn.artefacts.reading import Artefacts
from shapecnn.errors import ShapecnnError, StoredDataError, UsageError
from shapecnn.models.calibration import Calibration
from shapecnn.models.head import WEIGHTS
from shapecnn.models.input import Input, InputSettings
from shapecnn.models.run import CONFIG, MODEL, SPLIT, Run, open_run
from shapecnn.models.run_files import run_bytes
from shapecnn.networks.network import ShapeNetwork
from shapecnn.networks.registry import build_network
from shapecnn.settings.base import settings_hash
from shapecnn.settings.experiment import Experiment
from shapecnn.settings.networks import (
    MvcnnSettings,
    NetworkSettings,
    ShapenetsSettings,
    VoxresnetSettings,
    reads_neighbours,
)
from shapecnn.settings.stages import GradientStage
from shapecnn.settings.views_and_grids import ImportedViewSettings, ImportedVoxelSettings, ViewSettings, VoxelSettings
from shapecnn.storage.checksums import SUMS
from shapecnn.storage.publishing import publish
from shapecnn.storage.sealed import Sealed
from shapecnn.storage.unfinished import RESUME
from tests.sealing import forge

CLASSES = ("chair", "table", "vase")
IDS = {"train": ["b.off", "a.off"], "val": ["c.off"]}
VOXRESNET = VoxresnetSettings(width=4, turns=2)
VOXELS = VoxelSettings(resolution=12, up="y")


def trained(network: NetworkSettings, side: int) -> ShapeNetwork:
    """A network none of whose numbers, statistics of batch normalization included, is as it was made."""
    built = build_network(network, side, len(CLASSES), seed=7)
    torch.manual_seed(1)
    with torch.no_grad():
        for value in built.state_dict().values():
            value.add_(torch.rand_like(value) / 10 if value.is_floating_point() else 1)
    return built.eval()


def write(folder: Path, network: NetworkSettings, settings: InputSettings, classes: Sequence[str] = CLASSES) -> Path:
    experiment = Experiment(network=network, stages=(GradientStage(name="all", epochs=1, learning_rate=1e-3),))
    seen = Input(settings, network.turns)
    publish(folder, run_bytes(experiment, trained(network, seen.side), classes, seen, IDS, {"hash": "0" * 64}))
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, not to be changed."""
    return write(tmp_path_factory.mktemp("run"), VOXRESNET, VOXELS)


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed."""
    return Path(shutil.copytree(whole, tmp_path / "my run"))


def resign(folder: Path, **changes: Any) -> None:
    """Change ``model.json``, hashes included, as one would who means harm."""
    forge(folder, MODEL, lambda described: {**described, **changes})


def grids(count: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.randint(0, 2, (1, count, 12, 12, 12), dtype=torch.uint8, generator=generator)


def said(error: ShapecnnError) -> str:
    """The message, which is a sentence with a remedy."""
    message = str(error)
    assert "\n" not in message
    assert len(message) < 500
    remedies = (
        "Restore the file from a copy",
        "Use that version",
        "Make it again",
        "To train one",
        "To go on",
        "Use the",
    )
    assert any(remedy in message for remedy in remedies), message
    return message


@pytest.mark.parametrize(
    ("network", "settings"),
    [
        (MvcnnSettings(backbone="test_efficientnet", weights="none", pool_at="early"), ViewSettings(size=32, up="y")),
        (MvcnnSettings(backbone="test_resnet", weights="none"), ImportedViewSettings(views=12, size=32)),
        (MvcnnSettings(backbone="test_resnet", weights="none", pooling="adapter", width=5), ViewSettings(size=32)),
        (ShapenetsSettings(normalization="none", turns=1), VoxelSettings(resolution=26, rotations=3)),
        (VOXRESNET, ImportedVoxelSettings(resolution=12)),
    ],
)
def test_the_network_comes_back_to_the_bit(network: NetworkSettings, settings: InputSettings, tmp_path: Path) -> None:
    run = open_run(write(tmp_path / "run", network, settings))
    assert (run.name, run.network.settings, run.head.classes) == (str(tmp_path / "run"), network, CLASSES)
    assert run.input.to_json() == Input(settings).to_json()
    assert (run.input.turns, run.input.neighbours) == (network.turns, reads_neighbours(network))
    assert run.held_out == {"train": {"a.off", "b.off"}, "val": {"c.off"}}
    built, expected = run.network.build(), trained(network, run.input.side)
    assert not built.training
    assert built.state_dict().keys() == expected.state_dict().keys()
    assert all(torch.equal(value, expected.state_dict()[key]) for key, value in built.state_dict().items())
    assert expected.classifier is not None
    classifier = run.head.classifier()
    np.testing.assert_array_equal(classifier.weight, expected.classifier.weight.detach())
    np.testing.assert_array_equal(classifier.bias, expected.classifier.bias.detach())
    side = run.input.side
    torch.manual_seed(3)
    inputs = torch.randint(0, 2, (2, 3, *[side] * (2 if run.input.kind == "views" else 3)), dtype=torch.uint8)
    with torch.inference_mode():
        assert all(map(torch.equal, built(inputs), expected(inputs)))


def test_weights_that_were_pretrained_are_not_fetched_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    network = MvcnnSettings(backbone="test_efficientnet", weights="none")
    write(tmp_path / "other", network, ViewSettings(size=32))
    resign(tmp_path / "other", network={**network.model_dump(), "weights": str(tmp_path / "long/gone.pth")})
    assert open_run(tmp_path / "other").network.build().feature_size == 256


def test_the_files_are_those_of_the_contract(whole: Path) -> None:
    assert sorted(path.name for path in whole.iterdir()) == sorted([CONFIG, MODEL, WEIGHTS, SPLIT, SUMS])
    described = json.loads((whole / MODEL).read_bytes())
    assert described["schema_version"] == 1
    assert described["network"] == VOXRESNET.model_dump()
    assert described["classes"] == list(CLASSES)
    assert described["feature_size"] == 16
    assert described["parameters"] == sum(p.numel() for p in trained(VOXRESNET, 12).parameters())
    assert described["input"]["resolution"] == 12
    assert described["input"].pop("hash") == settings_hash(described["input"])
    assert described["versions"].keys() == {"shapecnn", "torch", "timm"}
    assert json.loads((whole / SPLIT).read_bytes()) == IDS
    assert Experiment.from_options(**yaml.safe_load((whole / CONFIG).read_bytes())).network == VOXRESNET


def outcome(folder: Path) -> Run | str:
    """The run, opened and its weights read, or what was said instead."""
    try:
        run = open_run(folder)
        run.network.build()
    except (StoredDataError, UsageError) as error:
        return said(error)
    return run


@pytest.mark.parametrize("name", [MODEL, SPLIT])
def test_a_description_altered_in_one_bit_is_refused_wherever_it_is(folder: Path, name: str) -> None:
    content = (folder / name).read_bytes()
    for position in range(0, len(content), 3):
        altered = bytearray(content)
        altered[position] ^= (1, 32, 128)[position // 3 % 3]
        (folder / name).write_bytes(altered)
        with pytest.raises(StoredDataError) as error:
            open_run(folder)
        said(error.value)


@pytest.mark.parametrize("where", [0.0, 0.001, 0.1, 0.5, 0.9999])
def test_weights_altered_in_one_bit_are_refused(folder: Path, where: float) -> None:
    content = bytearray((folder / WEIGHTS).read_bytes())
    opened = open_run(folder)
    content[int(where * len(content))] ^= 1
    (folder / WEIGHTS).write_bytes(content)
    for attempt in (opened.network.build, opened.head.classifier, lambda: open_run(folder)):
        with pytest.raises(
            StoredDataError, match=f"{WEIGHTS} has changed since it was written.*Restore the file from a copy"
        ) as error:
            attempt()
        said(error.value)


@pytest.mark.parametrize("name", [MODEL, SPLIT, WEIGHTS])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_file_cut_short_is_refused(folder: Path, name: str, share: float) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: int(share * len(content))])
    assert name in str(outcome(folder))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (MODEL, "model.json cannot be read .No such file or directory.. Restore the file"),
        (SPLIT, "split.json cannot be read .No such file or directory.. Restore the file"),
        (WEIGHTS, "model.safetensors cannot be read .No such file or directory.. Restore the file"),
    ],
)
@pytest.mark.parametrize("instead", [None, "folder"])
def test_a_missing_file_is_named(folder: Path, name: str, message: str, instead: str | None) -> None:
    (folder / name).unlink()
    if instead:
        (folder / name).mkdir()
        assert name in str(outcome(folder))
    else:
        with pytest.raises((StoredDataError, UsageError), match=message) as error:
            open_run(folder).network.build()
        said(error.value)


def test_what_is_not_needed_may_be_missing(folder: Path) -> None:
    assert open_run(folder).head.gallery() is None
    (folder / CONFIG).unlink()
    assert isinstance(outcome(folder), Run)


@pytest.mark.parametrize("version", [2, "1", None, [1]])
def test_another_version_is_refused(folder: Path, version: object) -> None:
    resign(folder, schema_version=version)
    with pytest.raises(StoredDataError, match=r"model.json was made by another version of shapecnn") as error:
        open_run(folder)
    said(error.value)


@pytest.mark.parametrize("content", [b"[]", b"null", b"3", b'"x"', b"{}", b"[" * 100_000, b"\x00\x00\x00{"])
def test_json_of_something_else_is_refused(folder: Path, content: bytes) -> None:
    (folder / MODEL).write_bytes(content)
    with pytest.raises(StoredDataError) as error:
        open_run(folder)
    said(error.value)


@pytest.mark.parametrize("network", [{"kind": "transformer"}, {**VOXRESNET.model_dump(), "heads": 8}, {}, 3])
def test_a_network_of_a_later_version_is_refused(folder: Path, network: object) -> None:
    resign(folder, network=network)
    with pytest.raises(StoredDataError, match=r"model.json has invalid content \(.*network") as error:
        open_run(folder)
    said(error.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"network": {**VOXRESNET.model_dump(), "width": 8}},
        {"network": ShapenetsSettings().model_dump(), "input": Input(VoxelSettings()).to_json()},
        {"classes": ["one", "two"]},
    ],
)
def test_weights_of_another_network_are_refused(folder: Path, changes: dict[str, Any]) -> None:
    resign(folder, **changes)
    assert f"weights does not fit {MODEL}" in str(outcome(folder))


@pytest.mark.parametrize("changes", [{"classes": ["one", "two"]}, {"feature_size": 8}])
def test_a_classifier_of_another_size_is_refused(folder: Path, changes: dict[str, Any]) -> None:
    resign(folder, **changes)
    with pytest.raises(StoredDataError, match=r"classifier\.weight is float32 \(3, 16\), not float32") as error:
        open_run(folder).head.classifier()
    said(error.value)


def test_numbers_of_a_type_that_torch_does_not_know_are_refused(folder: Path) -> None:
    text = json.dumps({"parts.conv1.weight": {"dtype": "F4", "shape": [16], "data_offsets": [0, 8]}}).encode()
    (folder / WEIGHTS).write_bytes(len(text).to_bytes(8, "little") + text + bytes(8))
    resign(folder)
    assert f"weights does not fit {MODEL}: 'F4'" in str(outcome(folder))


def test_ids_that_are_none_are_told_of_their_file(folder: Path) -> None:
    forge(folder, SPLIT, lambda ids: {**ids, "val": 3})
    with pytest.raises(StoredDataError, match=r"split.json has invalid content \(.*val") as error:
        open_run(folder)
    said(error.value)


def test_a_backbone_that_is_no_longer_known_is_told(tmp_path: Path) -> None:
    network = MvcnnSettings(backbone="test_efficientnet", weights="none")
    write(tmp_path / "run", network, ViewSettings(size=32))
    resign(tmp_path / "run", network={**network.model_dump(), "backbone": "test_efficientnett"})
    with pytest.raises(UsageError, match=r"no backbone 'test_efficientnett' .* Did you mean test_efficientnet"):
        open_run(tmp_path / "run").network.build()


CALIBRATION = asdict(Calibration(10, 1.5, 0.3, 0.2, 0.1, 0.05, 0.5, 0.05))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": ["cup", "hat", "cup"]}, "a class name occurs twice"),
        ({"classes": []}, "classes"),
        ({"feature_size": 0}, "feature_size"),
        ({"discriminant": None}, "discriminant"),
        *(
            ({"calibration": {**CALIBRATION, "temperature": t}}, "the calibration temperature is not between")
            for t in (0, -1, 5e-324, 1e300)
        ),
        ({"calibration": {**CALIBRATION, "by": "eye"}}, "calibration.by"),
        ({"calibration": {}}, "calibration"),
    ],
)
def test_a_description_that_cannot_be_is_refused(folder: Path, changes: dict[str, Any], message: str) -> None:
    resign(folder, calibration=CALIBRATION)
    assert open_run(folder).head.calibration == Calibration(**CALIBRATION)
    resign(folder, **changes)
    with pytest.raises(StoredDataError, match=f"model.json has invalid content .*{message}") as error:
        open_run(folder)
    said(error.value)


class Trap:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., None], tuple[Path]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("save", [pickle.dump, torch.save])
def test_weights_that_would_run_code_run_none(folder: Path, save: Callable[..., None], tmp_path: Path) -> None:
    with (folder / WEIGHTS).open("wb") as file:
        save({"parts.conv1.weight": Trap(tmp_path / "sprung")}, file)
    resign(folder)
    assert "does not fit" in str(outcome(folder))
    with pytest.raises(StoredDataError, match="the file is not in the safetensors format"):
        open_run(folder).head.classifier()
    assert not (tmp_path / "sprung").exists()


def test_nothing_is_unpickled(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def poison(*_: object, **__: object) -> None:
        raise AssertionError("something is unpickled")

    for module, name in ((pickle, "load"), (pickle, "loads"), (pickle, "Unpickler"), (torch, "load")):
        monkeypatch.setattr(module, name, poison)
    with torch.inference_mode():
        open_run(folder).network.build()(grids())


def test_an_unfinished_run_is_told_how_to_go_on(tmp_path: Path) -> None:
    (tmp_path / "my run" / RESUME).mkdir(parents=True)
    with pytest.raises(UsageError) as error:
        open_run(tmp_path / "my run")
    run = f"'{tmp_path / 'my run'}'"
    assert said(error.value).endswith(f"To go on: shapecnn train --resume {run}")


@pytest.mark.parametrize("what", ["nothing", "folder", "file"])
def test_what_is_no_run_is_told(tmp_path: Path, what: str) -> None:
    path = tmp_path / "run"
    if what == "folder":
        path.mkdir()
    elif what == "file":
        path.write_bytes(b"")
    with pytest.raises(
        UsageError, match=rf"({path}.* not a run|no run at {path}).* To train one: shapecnn train CONFIG"
    ) as error:
        open_run(path)
    said(error.value)


def test_a_run_is_told_from_another_by_what_decides_its_features(folder: Path, whole: Path, tmp_path: Path) -> None:
    one, same = open_run(whole), open_run(folder)
    assert one.network.identity == same.network.identity
    assert one.to_json() == same.to_json()
    assert one.to_json()["hash"] == settings_hash({k: v for k, v in one.to_json().items() if k != "hash"})
    upright = write(tmp_path / "upright", VOXRESNET, VoxelSettings(resolution=12))
    assert open_run(upright).to_json() == one.to_json()  # up is not seen
    other = write(tmp_path / "other", VOXRESNET.model_copy(update={"turns": 4}), VOXELS)
    assert open_run(other).to_json()["hash"] != one.to_json()["hash"]
    padded = write(tmp_path / "padded", VOXRESNET, VoxelSettings(resolution=12, padding=2))
    assert open_run(padded).to_json()["hash"] != one.to_json()["hash"]


def data(*rows: tuple[str, str]) -> Artefacts:
    entries = tuple(Entry(id, "chair", split, None, "ok", None) for id, split in rows)
    return Artefacts(Path("data"), {}, entries, {}, Sealed(Path("data"), {}, ""))


def test_train_and_val_are_those_of_the_run_and_test_is_that_of_the_data(whole: Path) -> None:
    run = open_run(whole)
    artefacts = data(("a.off", "train"), ("b.off", "train"), ("c.off", "train"), ("d.off", "test"), ("e.off", "train"))
    assert [entry.id for entry in run.split(artefacts, "train")] == ["a.off", "b.off"]
    assert [entry.id for entry in run.split(artefacts, "val")] == ["c.off"]
    assert [entry.id for entry in run.split(artefacts, "test")] == ["d.off"]


def test_data_that_lacks_what_was_trained_on_is_refused(whole: Path) -> None:
    run, other = open_run(whole), data(("a.off", "train"), ("d.off", "test"))
    with pytest.raises(UsageError, match=r"data lacks 1 of the 2 shapes in split train of the run .* --split test"):
        run.split(other, "train")
    with pytest.raises(UsageError, match="data lacks 1 of the 1 shapes in split val"):
        run.split(other, "val")
    assert [entry.id for entry in run.split(other, "test")] == ["d.off"]
