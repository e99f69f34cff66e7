"""Options that several commands share mean the same everywhere."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import get_args

import click
import pytest

from shapecnn import pool
from shapecnn.cli import options, render, voxelize
from shapecnn.config import Up
from tests.cli.conftest import Command
from tests.meshes import write_box

BATCH = ["up", "workers", "timeout", "skip_errors", "as_json"]


def by_name(command: click.Command) -> dict[str, click.Parameter]:
    return {parameter.name: parameter for parameter in command.params if parameter.name}


@pytest.mark.parametrize("module", [render, voxelize])
def test_commands_on_collections_take_the_same_options(module: object) -> None:
    parameters = by_name(module.command)  # type: ignore[attr-defined]
    assert list(parameters)[:2] == ["collection", "out"]
    flags = {name: parameters[name].opts for name in BATCH}
    assert flags == {
        "up": ["--up"],
        "workers": ["--workers"],
        "timeout": ["--timeout"],
        "skip_errors": ["--skip-errors"],
        "as_json": ["--json"],
    }


def test_defaults_are_those_of_the_stages() -> None:
    parameters = by_name(render.command)
    assert parameters["timeout"].default == pool.TIMEOUT
    assert parameters["up"].default == "z"
    assert tuple(parameters["up"].type.choices) == get_args(Up)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["render", "voxelize"])
def test_device_and_seed_are_accepted_everywhere_and_change_nothing(
    name: str, tmp_path: Path, command: Command
) -> None:
    write_box(tmp_path / "meshes" / "a.off")
    small = ["--workers", "1", "--json"]
    first = command(name, tmp_path / "meshes", tmp_path / "out", *small).json(name)
    again = command(name, tmp_path / "meshes", tmp_path / "out", *small, "--device", "cpu", "--seed", "7").json(name)
    assert (first["written"], again["skipped"]) == (1, 1)
    assert "--device" not in command(name, "--help").stdout
    assert command(name, tmp_path / "meshes", tmp_path / "out", "--device", "abacus").status == 2


@pytest.mark.parametrize("limit", ["inf", "1e300"])
def test_a_time_limit_may_be_none(limit: str, tmp_path: Path, command: Command) -> None:
    write_box(tmp_path / "meshes" / "a.off")
    done = command("voxelize", tmp_path / "meshes", tmp_path / "out", "--timeout", limit, "--workers", "1")
    assert done.status == 0


def test_advice_repeats_what_was_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    typed = ["render", "my meshes", "out's", "--size", "64"]
    monkeypatch.setattr(sys, "argv", ["/usr/bin/shapecnn", *typed])
    assert options.command_line() == "shapecnn render 'my meshes' 'out'\"'\"'s' --size 64"
    assert shlex.split(options.command_line()) == ["shapecnn", *typed]
