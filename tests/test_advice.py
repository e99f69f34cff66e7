"""What messages advise, all over the package: nothing that is sound is removed or made again on their word."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import shapecnn

SOURCES = sorted(Path(shapecnn.__file__).parent.rglob("*.py"))
DESTROYING = re.compile(
    r"\brm -|\b[Rr]emove (it|them|one|the|that)\b|\b[Dd]elete\b|\b[Tt]rain(ed)? (it |the run |\{\} )?(again|anew)\b|"
    r"\b(training|run) anew\b"
)


def messages(source: str) -> Iterator[str]:
    """Every text of a module that is no docstring; of an f-string all of it, with ``{}`` for what is filled in."""
    tree = ast.parse(source)
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    documented = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts | documented:
            yield node.value


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(SOURCES[0].parent)))
def test_no_message_advises_to_remove_or_to_train_again(path: Path) -> None:
    assert [text for text in messages(path.read_text("utf-8")) if DESTROYING.search(text)] == []


def test_such_advice_would_be_found() -> None:
    source = 'def f(a):\n    "Remove it."\n    raise ValueError(f"{a} is damaged. Remove it and run again.")\n'
    assert [text for text in messages(source) if DESTROYING.search(text)] == ["{} is damaged. Remove it and run again."]
