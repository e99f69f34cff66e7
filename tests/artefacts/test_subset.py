"""The first few shapes of each class."""

from __future__ import annotations

import pytest

from shapecnn.artefacts.manifest import Entry
from shapecnn.artefacts.subset import Subset
from shapecnn.errors import UsageError


def entries(*names: str) -> list[Entry]:
    """``"chair/07"`` → a chair."""
    return [Entry(name, name.split("/")[0], "train", None, "ok", None) for name in names]


def test_a_text_says_how_many() -> None:
    assert Subset.parse("80+20") == Subset(80, 20)
    assert str(Subset.parse("80+20")) == "80+20"


@pytest.mark.parametrize(
    "text", ["", "80", "80+", "+20", "80-20", "0+20", "80+0", "-1+2", "80 + 20", "80+20\n", "8e1+20", "٨+٢", "1+2+3"]
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--subset .* is not TRAIN\+TEST, .* such as 80\+20\.$"):
        Subset.parse(text)


def test_the_first_of_each_class_by_id_and_all_where_there_are_fewer() -> None:
    shapes = entries("desk/3", "chair/2", "desk/1", "chair/1", "desk/2", "lamp/9", "chair/0")
    subset = Subset(2, 1)
    assert [e.id for e in subset.select(shapes, "train")] == ["chair/0", "chair/1", "desk/1", "desk/2", "lamp/9"]
    assert [e.id for e in subset.select(shapes, "test")] == ["chair/0", "desk/1", "lamp/9"]
    assert subset.select(subset.select(shapes, "train"), "train") == subset.select(shapes, "train")


def test_val_was_taken_from_the_subset_already() -> None:
    assert len(Subset(1, 1).select(entries("a/2", "a/1", "a/3"), "val")) == 3
