"""Shards of a collection: each shape is in exactly one, whatever the machine, and parts that do not fit are named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapecnn.errors import MismatchError, StoredDataError, UsageError
from shapecnn.meshes import shards
from shapecnn.meshes.collection import Shape
from shapecnn.meshes.shards import PART, Part, Shard, divide, read_part, read_parts, require_members, require_total
from shapecnn.storage.publishing import publish

COLLECTION = [
    Shape(name, name.partition("/")[0], None, Path(name)) for name in ("a/1.off", "a/2.off", "b/1.off", "b/ü.off")
]


def write_part(folder: Path, shard: str, shapes: list[Shape] = COLLECTION, **changes: object) -> Path:
    part = divide(shapes, Shard.parse(shard))[1]
    assert part is not None
    publish(folder, {PART: part.model_copy(update=changes).content()})
    return folder


def test_parse() -> None:
    assert Shard.parse("2/8") == Shard(2, 8)
    assert str(Shard.parse("1/1")) == "1/1"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not of the form I/N"),
        ("/8", "check that the variable it comes from is set"),
        ("2", "not of the form I/N"),
        ("2/8/9", "not of the form I/N"),
        ("-1/8", "not of the form I/N"),
        ("+1/8", "not of the form I/N"),
        ("1.0/8", "not of the form I/N"),
        ("1/8\n", "not of the form I/N"),
        ("٢/8", "not of the form I/N"),  # digits of another script, which int() would take
        ("0/8", r"counted from 1.*--shard \$\(\(JOB_COMPLETION_INDEX \+ 1\)\)/8"),
        ("0/0", "counted from 1"),
        ("9/8", "there is no shard 9 of 8. Use a number from 1 to 8"),
        ("1/0", "there is no shard 1 of 0"),
    ],
)
def test_what_is_no_shard_is_a_usage_error(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Shard.parse(text)


@given(st.text(), st.integers(1, 40))
def test_each_id_is_in_exactly_one_shard(shape_id: str, count: int) -> None:
    assert sum(Shard(number, count).holds(shape_id) for number in range(1, count + 1)) == 1


@given(st.lists(st.text(min_size=1), unique=True), st.integers(1, 9), st.randoms())
def test_shards_divide_a_collection_whatever_its_order(ids: list[str], count: int, random: object) -> None:
    shapes = [Shape(shape_id, None, None, Path("x")) for shape_id in ids]
    mixed = [*shapes]
    random.shuffle(mixed)  # type: ignore[attr-defined]
    found = []
    for number in range(1, count + 1):
        part = {shape.id for shape in divide(shapes, Shard(number, count))[0]}
        assert part == {shape.id for shape in divide(mixed, Shard(number, count))[0]}
        found += part
    assert sorted(found) == sorted(ids)


def test_the_shards_of_some_ids_are_known() -> None:
    """Computed once with b2sum (coreutils 9.1): `printf ID | b2sum -l 64`, the number modulo the count."""
    digests = {"a/1.off": 0x3475F14622C37AEC, "chair/ü.off": 0xB98F7209F1E90B77, "": 0xE4A6A0577479B2B4}
    for shape_id, digest in digests.items():
        for count in (1, 2, 3, 7, 1000):
            assert Shard(digest % count + 1, count).holds(shape_id), (shape_id, count)


def test_shards_are_of_about_the_same_size() -> None:
    sizes = [sum(Shard(number, 8).holds(f"chair/{n}.off") for n in range(8000)) for number in range(1, 9)]
    assert sum(sizes) == 8000
    assert max(abs(size - 1000) for size in sizes) < 150  # five standard deviations


def test_without_a_shard_all_shapes_stay_and_nothing_is_recorded() -> None:
    assert divide(COLLECTION, None) == (COLLECTION, None)


def test_a_part_describes_the_whole_collection(tmp_path: Path) -> None:
    parts = [divide(COLLECTION, Shard(number, 2))[1] for number in (1, 2)]
    assert [part.shapes for part in parts if part] == [4, 4]
    assert len({part.collection for part in parts if part}) == 1
    stored = read_part(write_part(tmp_path, "2/2"), "")
    assert stored == parts[1]
    assert json.loads((tmp_path / PART).read_text())["schema_version"] == 1


@pytest.mark.parametrize("change", [{"id": "a/3.off"}, {"label": "b"}, {"split": "test"}])
def test_another_id_label_or_split_is_another_collection(change: dict[str, str]) -> None:
    shape = COLLECTION[0]
    values = {"id": shape.id, "label": shape.label, "split": shape.split} | change
    other = Shape(values["id"], values["label"], values["split"], shape.file)  # type: ignore[arg-type]
    changed = divide([other, *COLLECTION[1:]], Shard(1, 2))[1]
    same = divide([*COLLECTION], Shard(1, 2))[1]
    assert changed is not None
    assert same is not None
    assert changed.collection != same.collection


def test_a_folder_without_a_shard_has_no_part(tmp_path: Path) -> None:
    publish(tmp_path, {"settings.json": b"{}"})
    assert read_part(tmp_path, "") is None
    with pytest.raises(UsageError, match="holds a whole collection, not a shard"):
        read_parts([tmp_path], "")


@pytest.mark.parametrize(
    "change",
    [{"number": 3}, {"number": 0}, {"count": 10**12}, {"shapes": "4"}, {"collection": "x"}, {"schema_version": 2}],
)
def test_a_damaged_description_is_refused(change: dict[str, object], tmp_path: Path) -> None:
    described = json.loads((write_part(tmp_path, "2/2") / PART).read_text())
    publish(tmp_path, {PART: json.dumps(described | change).encode()})
    with pytest.raises(StoredDataError, match=PART):
        read_part(tmp_path, "")
    publish(tmp_path, {PART: json.dumps(described).encode()})
    assert read_part(tmp_path, "") is not None


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
    text = shards._ranges(range(2, 405, 2))
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


def test_a_shape_of_another_shard_and_a_wrong_total_are_refused() -> None:
    part = divide(COLLECTION, Shard(1, 2))[1]
    assert isinstance(part, Part)
    here, _ = divide(COLLECTION, Shard(1, 2))
    stray = next(shape.id for shape in COLLECTION if shape not in here)
    require_members(Path("p"), part, [shape.id for shape in here], "")
    with pytest.raises(StoredDataError, match=f"p holds {stray}, which does not belong to shard 1/2"):
        require_members(Path("p"), part, [stray], "")
    require_total({Path("p"): part}, 4)
    with pytest.raises(StoredDataError, match="The parts hold 3 shapes, but the collection of p has 4"):
        require_total({Path("p"): part}, 3)
