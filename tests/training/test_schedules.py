"""Learning rates against values computed by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim.lr_scheduler import ReduceLROnPlateau

from shapecnn.settings.stages import GradientStage
from shapecnn.training.schedules import learning_rate_factor, stalled
from tests.training.data import stage


def factor(
    epoch: int, done: float, accuracies: list[float] | None = None, losses: Sequence[float] = (), **values: Any
) -> float:
    return learning_rate_factor(GradientStage.model_validate(stage(**values)), epoch, done, accuracies or [], losses)


def test_a_constant_rate() -> None:
    assert [factor(epoch, epoch / 10, schedule="constant") for epoch in range(10)] == [1.0] * 10


@pytest.mark.parametrize(
    ("done", "expected"), [(0, 1), (0.25, 0.853553), (0.5, 0.5), (0.75, 0.146447), (0.999, 2.5e-6)]
)
def test_cosine_falls_from_one_to_nothing(done: float, expected: float) -> None:
    assert factor(0, done, schedule="cosine") == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize(("done", "expected"), [(0.2, 1), (0.4, 0.853553), (0.6, 0.5), (0.8, 0.146447)])
def test_cosine_begins_where_warming_up_ends(done: float, expected: float) -> None:
    assert factor(0, done, schedule="cosine", warmup=0.2) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("schedule", ["constant", "step", "plateau", "stall", "cosine"])
@pytest.mark.parametrize(("done", "expected"), [(0, 0.001 / 0.201), (0.1, 0.101 / 0.201), (0.1999, 0.2009 / 0.201)])
def test_warming_up_rises_from_nearly_nothing(schedule: str, done: float, expected: float) -> None:
    assert factor(0, done, schedule=schedule, warmup=0.2) == pytest.approx(expected)


def test_steps_drop_after_so_many_epochs() -> None:
    factors = [factor(epoch, epoch / 7, schedule="step", step_epochs=3, factor=0.1) for epoch in range(7)]
    assert factors == pytest.approx([1, 1, 1, 0.1, 0.1, 0.1, 0.01])


@pytest.mark.parametrize(
    ("accuracies", "drops"),
    [
        ([], 0),
        ([0.5], 0),
        ([0.5, 0.5], 0),
        ([0.5, 0.5, 0.4], 1),
        ([0.5, 0.5, 0.6], 0),
        ([0.5, 0.5, 0.6, 0.6], 0),
        ([0.5, 0.4, 0.4, 0.4], 1),  # counting begins anew after a drop
        ([0.5, 0.4, 0.4, 0.4, 0.4], 2),
        ([0.0, 0.0, 0.0], 1),
    ],
)
def test_a_plateau_drops_after_patience_has_run_out(accuracies: list[float], drops: int) -> None:
    rate = factor(len(accuracies), 0.5, accuracies, schedule="plateau", patience=2, factor=0.5)
    assert rate == 0.5**drops


@pytest.mark.parametrize(
    ("losses", "drops"),
    [
        ([], 0),
        ([2.0], 0),
        ([2.0, 2.0], 0),
        ([2.0, 2.0, 2.1], 1),
        ([2.0, 1.999, 1.9985], 1),  # each falls by less than a thousandth
        ([2.0, 1.9985, 1.997], 0),  # small decreases add up
        ([2.0, 2.5, 1.9, 1.95], 0),
        ([2.0, 3.0, 3.0, 2.9], 1),  # falling again, but not below the lowest
        ([2.0, 3.0, 3.0, 3.0, 3.0], 2),
        ([0.0, 0.0, 0.0], 1),
    ],
)
def test_the_step_is_halved_when_the_objective_stalls(losses: list[float], drops: int) -> None:
    rate = factor(len(losses), 0.5, [0.1] * len(losses), losses, schedule="stall", patience=2, factor=0.5)
    assert rate == 0.5**drops


@given(st.lists(st.floats(0, 10) | st.integers(0, 20).map(lambda k: 2 - 7e-4 * k), max_size=40), st.integers(1, 4))
def test_stalls_and_plateaus_are_those_of_torch(values: list[float], patience: int) -> None:
    """Which reduces after more than ``patience`` epochs, here after as many."""
    for schedule, mode in [("stall", "min"), ("plateau", "max")]:
        optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        least = {"threshold": 1e-3, "threshold_mode": "rel"} if mode == "min" else {"threshold": 0}
        reduce = ReduceLROnPlateau(optimizer, mode, 0.5, patience - 1, min_lr=0, eps=0, **least)  # type: ignore[arg-type]
        for number, value in enumerate(values):
            reduce.step(value)
            seen = values[: number + 1]
            rate = factor(number + 1, 0.5, seen, seen, schedule=schedule, patience=patience, factor=0.5)
            assert rate == optimizer.param_groups[0]["lr"]


@pytest.mark.parametrize(
    ("accuracies", "epochs"), [([], 0), ([0.5], 0), ([0.5, 0.5], 1), ([0.5, 0.6], 0), ([0.2, 0.9, 0.9, 0.1], 2)]
)
def test_stalled_counts_from_the_first_of_the_best(accuracies: list[float], epochs: int) -> None:
    assert stalled(accuracies) == epochs


@given(
    schedule=st.sampled_from(["constant", "step", "plateau", "stall", "cosine"]),
    warmup=st.floats(0, 1),
    epochs=st.integers(1, 30),
    accuracies=st.lists(st.floats(0, 1), max_size=30),
    losses=st.lists(st.floats(0, 9), max_size=30),
)
def test_a_rate_is_never_negative_and_never_above_the_stages_own(
    schedule: str, warmup: float, epochs: int, accuracies: list[float], losses: list[float]
) -> None:
    for epoch in range(epochs):
        values = {"schedule": schedule, "warmup": warmup}
        assert 0 <= factor(epoch, epoch / epochs, accuracies[:epoch], losses[:epoch], **values) <= 1
