"""Parts that jobs made with --shard: all must be there and belong together; those that do not fit are named."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from shapecnn.errors import MismatchError, StoredDataError, UsageError
from shapecnn.meshes import parts
from shapecnn.meshes.parts import collect, read_parts
from shapecnn.storage.publishing import publish
from tests.meshes.shards import COLLECTION, write_part


def test_a_folder_without_a_shard_is_no_part(tmp_path: Path) -> None:
    publish(tmp_path, {"settings.json": b"{}"})
    with pytest.raises(UsageError, match="holds a whole collection, not a shard"):
        read_parts([tmp_path], "")


def test_parts_in_any_order_and_repeatedly_are_complete(tmp_path: Path) -> None:
    folders = [write_part(tmp_path / name, f"{name[0]}/3") for name in ("3", "1", "2", "1b")]
    assert [part.number for part in read_parts(folders, "").values()] == [3, 1, 2, 1]


@pytest.mark.parametrize(
    ("there", "message"),
    [
        ((1,), "Shards 2-9 of 9 are missing: make them with --shard 2/9 and so on, and merge again"),
        ((1, 3, 4, 8), "Shards 2,5-7,9 of 9 are missing"),
        ((1, 2, 3, 4, 5, 6, 7, 8), "Shard 9 of 9 is missing: make it with --shard 9/9, and merge again"),
    ],
)
def test_missing_shards_are_named_as_sbatch_takes_them(there: tuple[int, ...], message: str, tmp_path: Path) -> None:
    folders = [write_part(tmp_path / str(number), f"{number}/9") for number in there]
    with pytest.raises(UsageError, match=message):
        read_parts(folders, "")


def test_a_long_list_of_missing_shards_is_cut() -> None:
    text = parts._ranges(range(2, 405, 2))
    assert text.startswith("2,4,6,")
    assert text.endswith(",198,200 and 102 more ranges")


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"shard": "2/3"}, "/other is shard 2/3 and .*/first is shard 1/2: merge parts of one division"),
        ({"version": "9.9"}, r"/other was made by shapecnn 9.9 and .*/first by shapecnn \d"),
        ({"shapes": COLLECTION[1:]}, r"/other was made of another collection \(3 shapes there and 4 in .*/first\)"),
        ({"collection": "0" * 64}, r"/other .* another collection \(other ids, labels or splits than in .*/first\)"),
    ],
)
def test_parts_that_do_not_belong_together_are_named(other: dict[str, str], message: str, tmp_path: Path) -> None:
    first = write_part(tmp_path / "first", "1/2")
    with pytest.raises(MismatchError, match=message):
        read_parts([first, write_part(tmp_path / "other", **{"shard": "2/2", **other})], "")  # type: ignore[arg-type]


@dataclass(frozen=True)
class Held:
    """What a part holds of a shape: a number."""

    id: str
    folder: Path
    path: str = ""
    number: int = 0

    def equals(self, other: Held) -> bool:
        return self.number == other.number


def test_what_the_parts_hold_is_collected_in_order_and_the_first_by_path_is_kept(tmp_path: Path) -> None:
    described = read_parts([write_part(tmp_path / name, f"{name[0]}/2") for name in ("2", "1", "1b", "1a")], "")
    held = collect(
        described,
        lambda folder: [
            Held(shape.id, folder, path=folder.name[1:] or "c")
            for shape in reversed(COLLECTION)
            if described[folder].shard.holds(shape.id)
        ],
        "",
    )
    assert [item.id for item in held] == [shape.id for shape in COLLECTION]
    assert {item.folder.name for item in held} == {"2", "1a"}


def test_a_shape_of_another_shard_that_is_missing_or_that_differs_is_refused(tmp_path: Path) -> None:
    described = read_parts([write_part(tmp_path / name, f"{name[0]}/2") for name in ("1", "2", "2b")], "")

    def number(held: dict[str, int], folder: Path) -> list[Held]:
        members = (shape.id for shape in COLLECTION if described[folder].shard.holds(shape.id))
        return [Held(shape_id, folder, number=held.get(folder.name, 0)) for shape_id in members]

    assert len(collect(described, lambda folder: number({}, folder), "")) == len(COLLECTION)
    with pytest.raises(MismatchError, match=r"/2 and .*/2b are the same shard, but hold different content for .*off"):
        collect(described, lambda folder: number({"2b": 1}, folder), "")
    stray = next(shape.id for shape in COLLECTION if not described[tmp_path / "1"].shard.holds(shape.id))
    with pytest.raises(StoredDataError, match=f"1 holds {stray}, which does not belong to shard 1/2. Help."):
        collect(described, lambda folder: [Held(stray, folder)], "Help.")
    with pytest.raises(StoredDataError, match=r"The parts hold 3 shapes, but the collection of .*/1 has 4"):
        collect(described, lambda folder: number({}, folder)[folder.name == "1" :], "")
