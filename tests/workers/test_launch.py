"""What torchrun says about the processes that it has started, in environment variables."""

from __future__ import annotations

import pytest

from shapecnn.errors import UsageError
from shapecnn.workers.launch import is_first_process, local_process_count, process_count
from shapecnn.workers.pool import available_cores

VARIABLES = ("LOCAL_RANK", "RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def test_a_process_of_its_own_is_the_first_and_only_one() -> None:
    assert (process_count(), local_process_count(), is_first_process()) == (1, 1, True)


@pytest.mark.parametrize(("rank", "first"), [("0", True), ("1", False)])
def test_processes_of_torchrun(rank: str, first: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    cores = available_cores()
    for name, value in zip(VARIABLES, (rank, rank, "4", "2"), strict=True):
        monkeypatch.setenv(name, value)
    assert (process_count(), local_process_count(), is_first_process()) == (4, 2, first)
    assert available_cores() == max(1, cores // 2)


def test_variables_that_another_program_has_left_mean_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "8")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "x")
    monkeypatch.setenv("RANK", "3")
    cores = available_cores()
    assert (process_count(), local_process_count(), is_first_process(), cores) == (1, 1, True, available_cores())
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "")
    assert process_count() == 1


@pytest.mark.parametrize("world", ["", "1"])
@pytest.mark.parametrize("rank", ["", "0", "1"])
def test_a_process_alone_is_the_first_whatever_its_rank(world: str, rank: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in zip(VARIABLES, (rank, rank, world, ""), strict=True):
        monkeypatch.setenv(name, value)
    assert (process_count(), local_process_count(), is_first_process()) == (1, 1, True)


@pytest.mark.parametrize("text", ["x", "0", "-2", "1.5", "²"])
@pytest.mark.parametrize("variable", ["WORLD_SIZE", "LOCAL_WORLD_SIZE"])
def test_a_number_that_is_none_is_a_sentence(text: str, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setenv(variable, text)
    with pytest.raises(UsageError, match=f"The environment variable {variable} is '{text}', not a number of processes"):
        process_count() if variable == "WORLD_SIZE" else local_process_count()
