"""``--shard`` and ``shapecnn merge`` on the command line: answers, statuses, hints, and what info and verify say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shapecnn.cli import next_steps
from shapecnn.cli.main import COMMANDS
from tests.cli.conftest import Command
from tests.solids import contents, write_box

SMALL = ["--resolution", 8, "--padding", 1, "--workers", 1]


@pytest.fixture
def meshes(tmp_path: Path) -> Path:
    for name in ("box/train/a.off", "box/train/b.off", "lamp/train/c.off", "lamp/test/d.off"):
        write_box(tmp_path / "meshes" / name)
    (tmp_path / "meshes" / "lamp" / "train" / "bad.off").write_bytes(b"")
    return tmp_path / "meshes"


@pytest.fixture
def parts(meshes: Path, tmp_path: Path, command: Command) -> list[Path]:
    for number in (1, 2):
        done = command("voxelize", meshes, tmp_path / str(number), *SMALL, "--shard", f"{number}/2", "--skip-errors")
        assert done.status == 0
    return [tmp_path / "1", tmp_path / "2"]


@pytest.mark.parametrize("name", ["render", "voxelize", "index"])
@pytest.mark.parametrize(("shard", "message"), [("0/2", "counted from 1"), ("3/2", "no shard 3 of 2"), ("/2", "I/N")])
def test_a_wrong_shard_is_a_usage_error(
    name: str, shard: str, message: str, meshes: Path, tmp_path: Path, command: Command
) -> None:
    done = command(name, meshes, tmp_path / "out", "--shard", shard)
    assert (done.status, done.stdout) == (2, "")
    assert message in done.stderr
    assert not (tmp_path / "out").exists()


def test_json_and_the_whole(meshes: Path, parts: list[Path], tmp_path: Path, command: Command) -> None:
    assert "merge" in COMMANDS
    done = command("merge", *parts, tmp_path / "merged", "--json")
    value = done.json("merge")
    assert (done.status, done.stderr) == (1, "Failed: lamp/train/bad.off: the file is empty\n"
                                             "1 of the meshes could not be used.\n")  # fmt: skip
    assert value == {
        "schema_version": 1,
        "kind": "voxels",
        "shards": 2,
        "parts": 2,
        "total": 4,
        "removed": 0,
        "failed": 1,
        "seconds": value["seconds"],
        "failures": [{"path": "lamp/train/bad.off", "error": "the file is empty"}],
    }
    command("voxelize", meshes, tmp_path / "whole", *SMALL)
    assert contents(tmp_path / "merged") == contents(tmp_path / "whole")


def test_text_and_failures(parts: list[Path], tmp_path: Path, command: Command) -> None:
    out = tmp_path / "merged"
    done = command("merge", *parts, out, "--skip-errors", "--failures", tmp_path / "failed.csv")
    assert done.status == 0
    assert done.stdout.startswith("2 shards merged, 0 removed, 1 failed in ")
    assert done.stdout.endswith(f" s: {out} holds the grids of 4 shapes\n")
    assert (tmp_path / "failed.csv").read_text().splitlines()[1] == "lamp/train/bad.off,the file is empty,shapecnn"


def test_what_the_folder_held_before_of_another_collection_is_counted(
    parts: list[Path], tmp_path: Path, command: Command
) -> None:
    write_box(tmp_path / "others" / "box" / "train" / "a.off", 1, 1, 1)
    write_box(tmp_path / "others" / "box" / "train" / "other.off", 1, 1, 1)
    command("voxelize", tmp_path / "others", tmp_path / "merged", *SMALL)
    done = command("merge", *parts, tmp_path / "merged", "--skip-errors", "--json")
    assert (done.json("merge")["removed"], done.json("merge")["total"]) == (1, 4)
    assert command("merge", *parts, tmp_path / "merged", "--skip-errors", "--json").json("merge")["removed"] == 0


def test_errors_are_one_line_and_one_json_value(parts: list[Path], tmp_path: Path, command: Command) -> None:
    done = command("merge", parts[0], tmp_path / "merged", "--json")
    assert done.status == 2
    assert done.json("error")["error"]["kind"] == "usage"
    assert done.stderr.startswith("Error: Shard 2 of 2 is missing: make it with --shard 2/2, and merge again.")
    assert command("merge", parts[0]).status == 2
    done = command("merge", *parts)
    assert (done.status, "2 is a part itself" in done.stderr) == (2, True)
    (next(parts[1].rglob("*.binvox"))).write_bytes(b"x")
    done = command("merge", *parts, tmp_path / "merged")
    assert (done.status, "has changed since it was written" in done.stderr) == (1, True)


def test_info_and_verify_know_the_shard(meshes: Path, parts: list[Path], tmp_path: Path, command: Command) -> None:
    assert command("info", parts[1], "--json").json("info")["facts"]["shard"] == "2/2"
    assert "shard" in command("info", parts[1]).stdout
    assert command("verify", *parts, "--collection", meshes).status == 0
    write_box(meshes / "box" / "train" / "new.off")
    done = command("verify", *parts, "--collection", meshes, "--json")
    found = [finding["path"] for folder in json.loads(done.stdout)["folders"] for finding in folder["findings"]]
    assert found == ["box/train/new.off"]  # in the one part where it belongs
    command("merge", *parts, tmp_path / "merged")
    assert command("info", tmp_path / "merged", "--json").json("info")["facts"]["shard"] is None


def test_a_part_leads_to_merge_and_a_merged_folder_on(
    meshes: Path, parts: list[Path], tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(next_steps, "is_wanted", lambda: True)
    done = command("voxelize", meshes, parts[0], *SMALL, "--shard", "1/2")
    assert done.stderr.splitlines()[-1] == f"Next: shapecnn merge {parts[0]} PART... OUT"
    done = command("merge", *parts, tmp_path / "merged")
    assert done.stderr.splitlines()[-1].startswith(
        f"Next: shapecnn train shapenets-modelnet10 --data {tmp_path}/merged"
    )


def test_the_help_of_a_shard_says_how_to_use_it_with_slurm(command: Command) -> None:
    for name in ("render", "voxelize", "index"):
        text = " ".join(command(name, "--help").stdout.split())
        assert "--shard I/N" in text
        assert "counted from 1" in text
        assert "--shard $SLURM_ARRAY_TASK_ID/N, with --array=1-N" in text
