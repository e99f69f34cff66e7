from __future__ import annotations

import ast
import copy
import pickle
import re
from pathlib import Path

import pytest

import shapecnn
from shapecnn import errors
from shapecnn.errors import ItemError, MeshError, PictureError, ShapecnnError, UsageError, WorkerError, counted

CLASSES = [
    value
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, ShapecnnError) and not name.startswith("_")
]


def _instance(cls: type[ShapecnnError]) -> ShapecnnError:
    return cls("format", "it is not OFF") if issubclass(cls, (ItemError, WorkerError)) else cls("it is not OFF")


def test_the_docstring_draws_the_tree_there_is() -> None:
    drawn: dict[str, str] = {}
    parents = ["Exception"]
    for line in (errors.__doc__ or "").splitlines():
        if found := re.match(r"    ([│├└─ ]*)(\w+Error)\b", line):
            depth = len(found[1]) // 4
            parents = [*parents[: depth + 1], found[2]]
            drawn[found[2]] = parents[depth]
    assert drawn == {cls.__name__: cls.__mro__[1].__name__.replace("_KindedError", "ShapecnnError") for cls in CLASSES}


@pytest.mark.parametrize("cls", CLASSES)
def test_an_error_survives_the_trip_between_processes(cls: type[ShapecnnError]) -> None:
    error = _instance(cls)
    for arrived in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error)):
        assert type(arrived) is cls
        assert str(arrived) == str(error) == "it is not OFF"
        assert arrived.kind == error.kind


def test_kinds_are_stable_names_and_tell_errors_apart() -> None:
    kinds = [cls.kind for cls in CLASSES if cls not in (ItemError, MeshError, PictureError, WorkerError)]
    assert len(set(kinds)) == len(kinds)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", kind) for kind in kinds)


def test_usage_errors_are_exactly_those_that_stop_before_any_work() -> None:
    below = {cls.__name__ for cls in CLASSES if issubclass(cls, UsageError)}
    assert below == {"UsageError", "CollectionError", "MismatchError"}


@pytest.mark.parametrize("cls", [ItemError, MeshError, PictureError, WorkerError])
def test_every_kind_raised_anywhere_is_documented_and_every_documented_one_is_raised(cls: type[ShapecnnError]) -> None:
    raised = {
        call.args[0].value
        for file in Path(shapecnn.__file__).parent.rglob("*.py")
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == cls.__name__
        if isinstance(call.args[0], ast.Constant)
    }
    words = set(re.findall(r"[a-z]+(?:-[a-z]+)*", (cls.__doc__ or "").rpartition("``kind``")[2]))
    if issubclass(cls, ItemError):
        assert raised == words - {"is", "one", "of"}
    else:
        assert raised == {"crashed", "timeout", "memory"} <= set(re.findall(r"[a-z]+", cls.__doc__ or ""))


def test_one_is_counted_as_one() -> None:
    told = [counted(1, "face"), counted(2, "face"), counted(0, "face"), counted(1000, "copy", "copies")]
    assert told == ["1 face", "2 faces", "0 faces", "1000 copies"]
    assert counted(1, "copy", "copies") == "1 copy"
