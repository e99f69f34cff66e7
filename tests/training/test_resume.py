"""What a training leaves to go on with: read back as it was, replaced whole, refused when it is damaged."""

from __future__ import annotations

import pickle
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from shapecnn.errors import StoredDataError
from shapecnn.storage.checksums import SUMS
from shapecnn.storage.publishing import publish
from shapecnn.training.resume import STATE, Saving, State, load_state, save_state
from tests.sealing import reseal


def state() -> State:
    weights = {"a": torch.randn(4, 3, 2, 2).to(memory_format=torch.channels_last), "n": torch.tensor(7)}
    parameter = torch.nn.Parameter(torch.randn(3))
    optimizer = torch.optim.AdamW([{"params": [parameter]}, {"params": []}])
    parameter.sum().backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    figures = {"count": 3, "loss": 1 / 3, "accuracy": 2 / 3, "mean_class_accuracy": 0.5, "mAP": None, "mAP_macro": None}
    records = [{"stage": "a", "epoch": 1, "loss": 0.1, "validation": figures}, {"stage": "b", "validation": None}]
    return State(1, 2, records, figures, 1, weights, weights, optimizer.state_dict(), 1.25)


def test_nothing_saved_is_nothing_to_go_on_with(tmp_path: Path) -> None:
    assert load_state(tmp_path) is None
    assert load_state(tmp_path / "nowhere") is None
    publish(tmp_path, {"other.json": b"{}"})  # which a training keeps there from its start
    assert load_state(tmp_path) is None


def test_what_was_saved_comes_back_to_the_last_bit(tmp_path: Path) -> None:
    saved = state()
    save_state(tmp_path / "resume", saved)
    loaded = load_state(tmp_path / "resume")
    assert loaded is not None
    for name in ("stage", "epoch", "records", "best", "best_epoch", "seconds"):
        assert getattr(loaded, name) == getattr(saved, name)
    for one, other in ((loaded.network, saved.network), (loaded.kept, saved.kept)):
        assert one is not None
        assert other is not None
        assert all(torch.equal(one[key], other[key]) for key in other)
        assert one["a"].stride() == other["a"].stride()  # which decides how convolutions add up
    assert loaded.optimizer is not None
    assert saved.optimizer is not None
    assert loaded.optimizer["param_groups"] == saved.optimizer["param_groups"]
    assert torch.equal(loaded.optimizer["state"][0]["exp_avg"], saved.optimizer["state"][0]["exp_avg"])


def test_the_latest_replaces_what_was_there(tmp_path: Path) -> None:
    save_state(tmp_path, state())
    save_state(tmp_path, State(stage=3))
    assert load_state(tmp_path) == State(stage=3)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([STATE, SUMS])


def test_small_states_are_always_saved(tmp_path: Path) -> None:
    saving = Saving(tmp_path)
    for epoch in range(1, 4):
        saving.save(State(epoch=epoch))
        assert load_state(tmp_path) == State(epoch=epoch)


def test_large_states_are_saved_seldom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shapecnn.training.resume.LITTLE", 0.0)
    clock = iter([100.0, 103.0, 132.9, 133.0, 135.0, 140.0, 141.0])  # begin of each call, and end of each saving
    monkeypatch.setattr("shapecnn.training.resume.time", SimpleNamespace(monotonic=lambda: next(clock)))
    saving = Saving(tmp_path)
    saved = []
    for epoch, always in ((1, False), (2, False), (3, False), (4, True)):
        saving.save(State(epoch=epoch), always=always)
        saved.append(load_state(tmp_path))
    assert [state and state.epoch for state in saved] == [1, 1, 3, 4]  # the first took 3 s: 30 s pass before the next
    assert next(clock, None) is None


@pytest.mark.parametrize("damage", [b"", b"nothing", b"PK\x03\x04"])
def test_damage_is_told_with_what_to_do(damage: bytes, tmp_path: Path) -> None:
    folder = tmp_path / "my run" / "resume"
    save_state(folder, state())
    whole = (folder / STATE).read_bytes()
    for content in (damage, whole[:-100], whole[: len(whole) // 2]):
        (folder / STATE).write_bytes(content)
        with pytest.raises(StoredDataError) as caught:
            load_state(folder)
        assert str(folder / STATE) in str(caught.value)
        assert str(caught.value).endswith("start a new training in another folder.")
        assert "\n" not in str(caught.value)


class Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('ran')",)


def test_nothing_in_it_is_run(tmp_path: Path) -> None:
    torch.save({"stage": Harmful()}, tmp_path / STATE)
    with pytest.raises(StoredDataError):
        load_state(reseal(tmp_path))
    (tmp_path / STATE).write_bytes(pickle.dumps(Harmful()))
    with pytest.raises(StoredDataError):
        load_state(reseal(tmp_path))


def test_a_state_of_other_fields_is_refused(tmp_path: Path) -> None:
    torch.save({"stage": 1, "phase": 2}, tmp_path / STATE)
    with pytest.raises(StoredDataError, match="has invalid content"):
        load_state(reseal(tmp_path))


def test_a_flipped_bit_is_never_trained_on(tmp_path: Path) -> None:
    save_state(tmp_path, state())
    whole = (tmp_path / STATE).read_bytes()
    for place in range(0, len(whole), len(whole) // 50):
        altered = bytearray(whole)
        altered[place] ^= 1 << place % 8
        (tmp_path / STATE).write_bytes(altered)
        with pytest.raises(StoredDataError, match="has changed since it was written"):
            load_state(tmp_path)
