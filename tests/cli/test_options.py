"""Options shared by several commands have the same meaning everywhere."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import get_args

import click
import pytest

from shapecnn.artefacts.manifest import read_manifest
from shapecnn.cli import audit, data, explain, index, options, predict, query, render, voxelize
from shapecnn.meshes.labels import Labels
from shapecnn.settings.views_and_grids import Up
from shapecnn.storage.reading import read_json
from shapecnn.workers import pool
from tests.cli.conftest import Command
from tests.solids import write_ball, write_box

BATCH = ["up", "workers", "timeout", "memory", "skip_errors", "as_json"]


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
        "memory": ["--memory"],
        "skip_errors": ["--skip-errors"],
        "as_json": ["--json"],
    }


@pytest.mark.parametrize("command", [render.command, voxelize.command, audit.command, data.import_, index.command])
def test_labels_has_the_same_help_in_every_command(command: click.Command) -> None:
    option = by_name(command)["labels"]
    assert option.opts == ["--labels"]
    assert tuple(option.type.choices) == get_args(Labels)  # type: ignore[attr-defined]
    assert str(option.help).startswith(str(by_name(render.command)["labels"].help))  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("labels", "expected"), [("auto", ("a", None)), ("folder", ("a", "test")), ("none", (None, None))]
)
def test_labels_decides_the_labels_of_the_manifest(
    labels: str, expected: tuple[str | None, str | None], tmp_path: Path, command: Command
) -> None:
    for name in ("a/test/x.off", "a/old/y.off", "b/z.off"):
        write_box(tmp_path / "meshes" / name)
    small = ["--labels", labels, "--resolution", 8, "--padding", 1, "--workers", 1]
    done = command("voxelize", tmp_path / "meshes", tmp_path / "out", *small)
    assert (done.status, "these folders are not read as splits" in done.stderr) == (0, labels == "auto")
    by_id = {entry.id: (entry.label, entry.split) for entry in read_manifest(tmp_path / "out")}
    assert by_id["a/test/x.off"] == expected
    again = command("data", "import", tmp_path / "out", tmp_path / "in", "--layout", "binvox", "--labels", labels)
    assert again.status == 0
    assert {(e.label, e.split) for e in read_manifest(tmp_path / "in")} == {*by_id.values()}
    audited = command("audit", tmp_path / "meshes", "--labels", labels, "--workers", 1, "--json").json("audit")
    member = next(m for g in audited["groups"] for m in g["members"] if m["id"] == "a/test/x.off")
    assert (member["label"], member["split"]) == expected


def test_labelled_sources_refuse_labels(tmp_path: Path, command: Command) -> None:
    write_box(tmp_path / "meshes" / "a.off")
    out = tmp_path / "out"
    command("voxelize", tmp_path / "meshes", out, "--resolution", 8, "--padding", 1, "--workers", 1)
    done = command("audit", out, "--labels", "none")
    assert (done.status, "its views or grids already have labels" in done.stderr) == (2, True)
    done = command("data", "import", out, tmp_path / "in", "--layout", "views-by-name", "--labels", "none")
    assert (done.status, "defines label and split" in done.stderr) == (2, True)


def test_defaults_are_those_of_the_stages() -> None:
    parameters = by_name(render.command)
    assert parameters["timeout"].default == pool.Workers().timeout
    assert parameters["memory"].default == pool.Workers().memory
    assert parameters["up"].default == "z"
    assert tuple(parameters["up"].type.choices) == get_args(Up)  # type: ignore[attr-defined]


@pytest.mark.parametrize("module", [render, voxelize, index, predict, query, explain])
def test_a_limit_of_faces_is_asked_for_in_the_same_way_wherever_meshes_are_seen(module: object) -> None:
    parameters = by_name(module.command)  # type: ignore[attr-defined]
    assert [parameters[name].opts for name in ("max_faces", "simplify")] == [["--max-faces"], ["--simplify"]]
    assert not any(parameters[name].required for name in ("max_faces", "simplify"))


def test_to_simplify_a_number_of_faces_is_needed(tmp_path: Path, command: Command) -> None:
    done = command("render", tmp_path, tmp_path / "out", "--simplify")
    assert done.status == 2
    assert "--simplify needs a number of faces: add --max-faces." in done.stderr
    assert command("render", tmp_path, tmp_path / "out", "--simplify", "--max-faces", "3").status == 2


@pytest.mark.parametrize("name", ["render", "voxelize"])
def test_a_mesh_over_the_limit_is_refused_or_simplified_as_asked(name: str, tmp_path: Path, command: Command) -> None:
    write_box(tmp_path / "meshes" / "box.off")
    write_ball(tmp_path / "meshes" / "ball.off", 3)
    small = [tmp_path / "meshes", tmp_path / "out", "--workers", "1", "--json"]
    refused = command(name, *small, "--max-faces", "100")
    assert refused.status == 1
    (failure,) = refused.json(name)["failures"]
    assert (
        failure["error"] == "the mesh has 1280 faces, more than the limit of 100: raise --max-faces, or add --simplify"
    )
    assert "simplify" not in read_json(tmp_path / "out" / "settings.json")

    mixed = command(name, *small, "--max-faces", "100", "--simplify")
    assert mixed.status == 2
    assert "simplify is not set there and 100 here" in mixed.stderr
    small[1] = tmp_path / "simplified"
    done = command(name, *small, "--max-faces", "100", "--simplify").json(name)
    assert (done["written"], done["failed"]) == (2, 0)
    assert read_json(tmp_path / "simplified" / "settings.json")["simplify"] == 100
    artefact = "box.png" if name == "render" else "box.binvox"  # of fewer faces, so that nothing is done to it
    assert (tmp_path / "simplified" / artefact).read_bytes() == (tmp_path / "out" / artefact).read_bytes()


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("render", "--device"),
        ("voxelize", "--seed"),
        ("predict", "--seed"),
        ("verify", "--workers"),
        ("eval", "--workers"),
    ],
)
def test_an_option_that_would_have_no_effect_is_refused(name: str, option: str, command: Command) -> None:
    done = command(name, option, "cpu" if option == "--device" else "1")
    assert (done.status, done.stdout) == (2, "")
    assert f"No such option '{option}'" in done.stderr or f"No such option: {option}" in done.stderr


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
