"""``shapecnn explain``: text for people, JSON for programs, and errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from shapecnn.settings.views_and_grids import ViewSettings
from tests.cli.conftest import Command, cells
from tests.runs import write_run
from tests.solids import contents, write_box


@pytest.fixture(params=["views_run", "voxels_run"])
def run(request: pytest.FixtureRequest) -> Path:
    path: Path = request.getfixturevalue(request.param)
    return path


def test_json_answers_in_the_order_of_the_questions(run: Path, solids: Path, tmp_path: Path, command: Command) -> None:
    before = contents(run)
    cone, nowhere, page = solids / "round/cone.off", tmp_path / "no.off", tmp_path / "pages" / "why.html"
    page.parent.mkdir()
    done = command("explain", run, cone, nowhere, "--json", "--html", page, "--device", "cpu")
    assert done.status == 1
    answer, missing = done.json("explain")
    assert (answer["path"], answer["label"], answer["class"]) == (str(cone), "round", "round")
    assert [view["view"] for view in answer["views"]] == list(range(len(answer["views"])))
    gains = [max(view["contribution"], 0) for view in answer["views"]]
    assert [view["share"] * sum(gains) for view in answer["views"]] == pytest.approx(gains, abs=1e-4)
    assert answer["page"] == str(page)
    assert page.read_text().startswith("<!DOCTYPE html>")
    error = {"kind": "missing", "message": "there is no such file"}
    assert missing == {"schema_version": 1, "path": str(nowhere), "error": error}
    assert done.stderr == (
        f"Wrote {page}\nFailed: {nowhere}: there is no such file\n1 of the meshes could not be used.\n"
    )
    assert contents(run) == before


def test_views_and_grids_have_their_places(views_run: Path, voxels_run: Path, solids: Path, command: Command) -> None:
    for run, azimuths, elevation in ((views_run, range(0, 360, 30), 30), (voxels_run, range(0, 360, 90), None)):
        (answer,) = command("explain", run, solids / "box/cube.off", "--json", "--class", "round").json("explain")
        assert (answer["label"], answer["class"], answer["page"]) == ("box", "round", None)
        assert [view["azimuth"] for view in answer["views"]] == list(azimuths)
        assert {view["elevation"] for view in answer["views"]} == {elevation}


def test_people_see_the_views_with_the_largest_shares(views_run: Path, solids: Path, command: Command) -> None:
    cube = solids / "box/cube.off"
    done = command("explain", views_run, cube, "nowhere.off", "--class", "round", "--skip-errors")
    (answer,) = command("explain", views_run, cube, "--class", "round", "--json").json("explain")
    assert done.status == 0
    first = max(answer["views"], key=lambda view: (view["share"], -view["view"]))
    told = f"{first['view']} (" if first["share"] else "none"
    assert done.stdout.startswith(f"{cube}  box {answer['score']:.1%}, not round  views in favour: {told}")
    assert done.stdout.count("\n") == 1


def test_people_see_for_each_mesh_which_class_it_is_not(
    views_run: Path, solids: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shapecnn.cli.explain.is_drawn", lambda: True)
    monkeypatch.setattr("shapecnn.cli.tables.is_drawn", lambda: True)
    monkeypatch.setenv("COLUMNS", "300")
    meshes = [solids / "round/cone.off", solids / "box/cube.off"]
    header, _, *rows = cells(command("explain", views_run, *meshes, "--class", "round").stdout.splitlines())
    assert header[3] == "and not"
    assert [row[1] for row in rows] == ["round", "box"]
    assert rows[1][3] == "round"


def test_up_is_honoured(views_run: Path, solids: Path, command: Command) -> None:
    answers = [
        command("explain", views_run, solids / "round/cone.off", "--json", "--up", up).json("explain") for up in "zy"
    ]
    assert answers[0][0]["views"] != answers[1][0]["views"]


def test_orientation_auto_is_explained_in_the_axes_of_the_mesh(solids: Path, tmp_path: Path, command: Command) -> None:
    run = write_run(tmp_path / "run", solids, settings=ViewSettings(size=32, orientation="auto"))
    box = write_box(tmp_path / "box.off")
    asked = ([], ["--orientation", "auto"], ["--up", "y"], ["--up", "x"])
    page = tmp_path / "why.html"
    answers = [command("explain", run, box, "--json", "--html", page, *more).json("explain")[0] for more in asked]
    assert "axes computed from it" in page.read_text()
    assert all(answer == answers[0] for answer in answers)
    assert len(answers[0]["views"]) == 24
    refused = command("explain", run, box, "--orientation", "upright")
    assert refused.status == 2
    assert "--orientation auto, not upright" in refused.stderr


def test_wrong_requests_are_status_2(views_run: Path, command: Command) -> None:
    for typed, told in ((["@imagenet"], "has no classes"), ([views_run, "--class", "boks"], "Choose one of: box")):
        done = command("explain", *typed, "mesh.off", "--json")
        assert done.status == 2
        assert told in done.json("error")["error"]["message"]


def test_a_page_stays_where_nothing_could_be_explained(
    views_run: Path, solids: Path, tmp_path: Path, command: Command
) -> None:
    page = tmp_path / "why.html"
    command("explain", views_run, solids / "box/cube.off", "--html", page, "--device", "cpu")
    before = page.read_bytes()
    done = command("explain", views_run, solids / "box", "--html", page, "--device", "cpu")
    assert done.status == 1
    assert f"Failed: {solids / 'box'}: it is a folder: pass the mesh files in it" in done.stderr
    assert f"{page} was not written, because no mesh could be used." in done.stderr
    assert page.read_bytes() == before


@pytest.mark.usefixtures("screen")
def test_people_at_a_terminal_get_a_table(views_run: Path, solids: Path, command: Command) -> None:
    cube = solids / "box/cube.off"
    (answer,) = command("explain", views_run, cube, "--class", "round", "--json").json("explain")
    lines = command("explain", views_run, cube, "--class", "round").stdout.splitlines()
    assert "and not" in lines[0]
    row = next(row for row in cells(lines) if "box" in row)
    assert row[-3:-1] == [f"{answer['score']:.1%}", "round"]
    assert command("explain", views_run, "nowhere.off", "--skip-errors").stdout == ""
