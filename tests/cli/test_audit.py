"""``shapecnn audit``: text for people, JSON for programs, and errors."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from urllib.parse import unquote

import pytest
import trimesh

from shapecnn.settings.views_and_grids import ViewSettings
from tests.cli.conftest import Command, cells
from tests.evaluations import write_artefacts
from tests.report.parsed import Page
from tests.report.safe import require_safe
from tests.solids import write

UNTRAINED = ("--model", "@imagenet", "--set", "backbone=test_efficientnet", "--set", "weights=none", "--set", "size=64")


@pytest.fixture(scope="module")
def meshes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Collection with a box in both splits under two labels, and two other shapes."""
    folder = tmp_path_factory.mktemp("meshes")
    box = trimesh.creation.box((1, 2, 3))
    for name in ("<b>brick/train/a.off", "box/test/a.off"):
        write(folder / name, box)
    write(folder / "box/test/b.off", trimesh.creation.box((1, 1, 3)))
    write(folder / "cone/train/c.off", trimesh.creation.cone(1, 2))
    return folder


@pytest.fixture(scope="module")
def views(meshes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_artefacts(meshes, tmp_path_factory.mktemp("views"), ViewSettings(size=64)).folder


def linked(page: Page, folder: Path) -> set[Path]:
    """Return the files to which the cards of a page in ``folder`` link."""
    addresses = [attributes["href"] for tag, attributes in page.elements if tag == "a"]
    return {Path(os.path.normpath(folder / unquote(address))) for address in addresses}


def test_json_and_files_of_artefacts(views: Path, tmp_path: Path, command: Command) -> None:
    done = command("audit", views, "--out", tmp_path / "report", "--json")
    assert done.status == 0
    answer = done.json("audit")
    assert (answer["kind"], answer["count"], answer["features"]) == ("views", 4, None)
    assert answer["levels"]["content"] == {"groups": 1, "shapes": 2, "redundant": 1, "leaks": 1, "conflicts": 1}
    (group,) = answer["groups"]
    assert [member["id"] for member in group["members"]] == ["<b>brick/train/a.off", "box/test/a.off"]
    assert (group["leak"], group["conflict"], group["kind"]) == (True, True, "content")
    assert json.loads((tmp_path / "report/audit.json").read_bytes()) == answer
    rows = list(csv.DictReader((tmp_path / "report/audit.csv").read_text("utf-8").splitlines()))
    assert [(row["group"], row["id"], row["leak"], row["similarity"]) for row in rows] == [
        ("0", "<b>brick/train/a.off", "true", ""),
        ("0", "box/test/a.off", "true", ""),
    ]
    page = require_safe((tmp_path / "report/audit.html").read_text("utf-8"))
    assert "b" not in {tag for tag, _ in page.elements}
    pictures = [a["src"] for tag, a in page.elements if tag == "img"]
    assert len(pictures) == 2
    assert len(set(pictures)) == 1
    assert pictures[0].startswith("data:image/png;base64,")
    assert linked(page, tmp_path / "report") == {views / "<b>brick/train/a.png", views / "box/test/a.png"}


def test_text_of_a_collection(meshes: Path, tmp_path: Path, command: Command) -> None:
    done = command("audit", meshes, "--workers", "1", "--out", tmp_path / "report")
    assert done.status == 0
    assert "4 shapes, compared as meshes" in done.stdout
    assert "across splits and different labels (content): <b>brick/train/a.off, box/test/a.off" in done.stdout
    page = Page((tmp_path / "report/audit.html").read_text("utf-8"))
    assert sum(tag == "img" for tag, _ in page.elements) == 2
    assert linked(page, tmp_path / "report") == {meshes / "<b>brick/train/a.off", meshes / "box/test/a.off"}


def test_features(views: Path, command: Command) -> None:
    answer = command("audit", views, *UNTRAINED, "--threshold", "0.5", "--device", "cpu", "--json").json("audit")
    assert answer["features"]["threshold"] == 0.5
    assert answer["levels"]["feature"]["shapes"] >= 2
    assert any(member["similarity"] for group in answer["groups"] for member in group["members"])


def test_a_mesh_that_cannot_be_used(meshes: Path, tmp_path: Path, command: Command) -> None:
    for source in meshes.rglob("*.off"):
        target = tmp_path / "c" / source.relative_to(meshes)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())
    (tmp_path / "c/box/test/b.off").write_text("no mesh")
    done = command("audit", tmp_path / "c", "--workers", "1", "--json")
    assert done.status == 1
    assert [entry["id"] for entry in done.json("audit")["failed"]] == ["box/test/b.off"]
    command("audit", tmp_path / "c", "--workers", "1", "--failures", tmp_path / "failed.csv")
    told = (tmp_path / "failed.csv").read_text("utf-8").splitlines()
    assert told[1].startswith(f"{tmp_path / 'c/box/test/b.off'},not OFF text")
    assert command("audit", tmp_path / "c", "--workers", "1", "--skip-errors").status == 0


def test_requests_that_cannot_be_met_are_refused(views: Path, meshes: Path, tmp_path: Path, command: Command) -> None:
    for arguments, message in (
        ((meshes, "--model", "@imagenet"), "run shapecnn render or voxelize first"),
        ((views, "--set", "views=20"), "no model is given: add --model @imagenet"),
        ((views, "--threshold", "2"), "--threshold 2 must be above 0"),
        ((views, "--out", views), "holds artefacts"),
        ((tmp_path,), "holds no mesh files"),
        ((tmp_path / "none",), "does not exist"),
    ):
        done = command("audit", *arguments)
        assert done.status == 2
        assert message in done.stderr


@pytest.mark.usefixtures("screen")
def test_people_at_a_terminal_get_tables(views: Path, command: Command) -> None:
    table = cells(command("audit", views).stdout.splitlines())
    assert ["content", "1", "2", "1", "1", "1"] in table
    flagged = table.index(["copies", "by", "shapes"]) + 2
    assert table[flagged] == ["across splits and different", "content", "<b>brick/train/a.off,"]
    assert table[flagged + 1] == ["labels", "box/test/a.off"]
