"""Shards of a collection: each shape is in exactly one, whatever the machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapecnn.errors import StoredDataError, UsageError
from shapecnn.meshes.collection import Shape
from shapecnn.meshes.shards import PART, Shard, divide, read_part
from shapecnn.storage.publishing import publish
from tests.meshes.shards import COLLECTION, write_part


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
