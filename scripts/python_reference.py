"""Write ``docs/reference/python.md`` from the docstrings of the public interface; called by scripts/documents.py."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import Annotated, Any, get_args, get_origin

import shapecnn

INTRODUCTION = """\
# Python interface

Generated from the docstrings of `import shapecnn` by `scripts/documents.py`; `help(shapecnn.train)` shows the same
text. The [tutorial](../python.md) shows the functions at work. Every name below is loaded when it is first used.

Functions that take many meshes report the error of each mesh that cannot be used, and go on. Any other error is
raised; its message says what is wrong, where, and what to do ([errors](#errors)). Results that print as tables have
`rows()`, which gives a list of dictionaries, and `to_frame()`, which gives a pandas data frame.
"""
SECTIONS = {
    "Meshes": ("load_mesh", "draw_views", "voxelize", "Mesh", "Views", "Grids", "ViewSettings", "VoxelSettings",
               "FaceLimit"),
    "Collections": ("prepare", "open_artefacts", "Artefacts", "Summary", "Workers"),
    "Many machines": ("merge", "Merged"),
    "Training": ("train", "find_step", "TrainingResult", "StepSearch"),
    "Models": ("open_model", "Predictor", "Predictions", "Prediction", "Features"),
    "Search": ("update_index", "open_index", "Searcher", "Answers", "IndexChanges"),
    "Evaluation": ("evaluate", "compare", "EvaluationSettings", "Evaluation", "Comparison", "ClassPrior"),
    "Looking inside": ("explain", "Explanations", "Explanation", "learned_filters", "LearnedFilters"),
    "The ladder": ("climb_ladder", "Ladder"),
    "Paths and cards": ("describe", "Description", "model_card"),
}  # fmt: skip
_TITLES = ("Args", "Attributes", "Returns", "Yields", "Raises", "Example", "Examples")


def python_reference() -> str:
    """Return the public interface as Markdown: signature and docstring of each function, class and public method."""
    named = [name for names in SECTIONS.values() for name in names]
    if missing := set(shapecnn.__all__) ^ set(named):
        raise LookupError(f"scripts/python_reference.py: SECTIONS and shapecnn.__all__ differ by {sorted(missing)}")
    parts = [INTRODUCTION]
    for section, names in SECTIONS.items():
        parts.append(f"## {section}\n")
        for name in names:
            parts.append(f"### {name}\n")
            parts.extend(_described(name, getattr(shapecnn, name)))
    errors = inspect.getdoc(shapecnn.errors) or ""
    parts.append("## Errors\n\nAll are in `shapecnn.errors`.\n")
    parts.append(_text(errors))
    return "\n".join(parts).rstrip() + "\n"


def _described(name: str, thing: Any) -> Iterator[str]:
    """Yield the Markdown of a function or a class."""
    if not inspect.isclass(thing):
        yield _signature(name, thing)
        yield _text(inspect.getdoc(thing) or "")
        return
    if _is_built_by_users(thing):
        yield _signature(name, thing)
    yield _text(inspect.getdoc(thing) or "")
    for method, member in _members(thing):
        if isinstance(member, property | functools.cached_property):
            yield f"#### {name}.{method}\n"
            function = member.fget if isinstance(member, property) else member.func
        else:
            function = member.__func__ if isinstance(member, classmethod | staticmethod) else member
            yield f"#### {name}.{method}()\n"
            yield _signature(f"{name}.{method}" if isinstance(member, classmethod) else method, function)
        yield _text(inspect.getdoc(function) or "")


def _is_built_by_users(kind: type) -> bool:
    """Return whether users make instances of a class: settings, limits and the like, which have defaults or checks."""
    if not dataclasses.is_dataclass(kind) and "model_fields" not in dir(kind):
        return False
    return kind.__name__.endswith("Settings") or kind.__name__ in {"FaceLimit", "Workers", "ClassPrior"}


def _members(kind: type) -> list[tuple[str, Any]]:
    """Return the public methods and properties that a class defines and describes."""
    described = (property, classmethod, staticmethod, functools.cached_property)
    members: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        if base.__module__.startswith("shapecnn") and base.__name__ not in {"Displayed", "ResultList"}:
            members |= vars(base)
    return [
        (name, member)
        for name, member in members.items()
        if not name.startswith("_")
        and (isinstance(member, described) or inspect.isfunction(member))
        and (name not in {"rows", "to_frame"})
    ]


def _signature(name: str, thing: Any) -> str:
    """Return a call as a block of code, one parameter a line if it is long."""
    signature = inspect.signature(thing)
    parameters = [each for each in signature.parameters.values() if each.name not in {"self", "cls"}]
    returned = signature.return_annotation
    shown = signature.replace(parameters=parameters, return_annotation=inspect.Signature.empty)
    arrow = "" if inspect.isclass(thing) or returned is inspect.Signature.empty else f" -> {_annotation(returned)}"
    words = [_parameter(each) for each in shown.parameters.values()]
    first_named = next((i for i, each in enumerate(parameters) if each.kind is inspect.Parameter.KEYWORD_ONLY), None)
    if first_named is not None and not any(each.kind is inspect.Parameter.VAR_POSITIONAL for each in parameters):
        words.insert(first_named, "*")
    line = f"{name}({', '.join(words)}){arrow}"
    if len(line) > 88:  # what the site shows without scrolling
        line = f"{name}(\n" + "".join(f"    {word},\n" for word in words) + f"){arrow}"
    return f"```python\n{line}\n```\n"


def _parameter(parameter: inspect.Parameter) -> str:
    stars: dict[Any, str] = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    prefix = stars.get(parameter.kind, "")
    word = f"{prefix}{parameter.name}"
    if parameter.annotation is not inspect.Parameter.empty:
        word += f": {_annotation(parameter.annotation)}"
    if parameter.default is inspect.Parameter.empty:
        return word
    default = parameter.default
    shown = default.__name__ if inspect.isfunction(default) else repr(default)
    if re.search(r" at 0x|<factory>", shown):
        shown = "…"
    return f"{word} = {shown}" if ":" in word else f"{word}={shown}"


def _annotation(annotation: Any) -> str:
    if get_origin(annotation) is Annotated:  # a range that pydantic checks; the text names it
        annotation = get_args(annotation)[0]
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    return re.sub(r"\b(?:shapecnn|typing|collections\.abc|pathlib|numpy)\.(?:\w+\.)*", "", text)


def _text(docstring: str) -> str:
    """Return a docstring in the style of Google as Markdown."""
    parts = re.split(rf"^({'|'.join(_TITLES)}):\n", docstring, flags=re.MULTILINE)
    written = [_prose(parts[0])]
    for title, body in zip(parts[1::2], parts[2::2], strict=True):
        body = textwrap.dedent(body).strip()
        if title.startswith("Example"):
            written.append(f"```python\n{body}\n```\n")
        elif title in {"Returns", "Yields"}:
            written.append(f"**{title}:** {' '.join(_inline(body).split())}\n")
        else:
            items = re.split(r"^(?=\S)", body, flags=re.MULTILINE)[1:]
            lines = [_item(" ".join(item.split())) for item in items]
            written.append(f"**{title}:**\n\n" + "\n".join(lines) + "\n")
    return "\n".join(written)


def _item(item: str) -> str:
    name, colon, meaning = item.partition(": ")
    return f"- `{name}`: {_inline(meaning)}" if colon else f"- {_inline(item)}"


def _prose(text: str) -> str:
    """Return paragraphs as Markdown; an indented paragraph is code, and a line before it may end in two colons."""
    paragraphs: list[str] = []
    for block in re.split(r"\n{2,}", text.strip("\n")):
        if block.startswith("    "):
            if paragraphs and paragraphs[-1].startswith("```"):
                paragraphs[-1] = paragraphs[-1].removesuffix("\n```") + f"\n\n{textwrap.dedent(block)}\n```"
            else:
                paragraphs.append(f"```\n{textwrap.dedent(block)}\n```")
        elif block.strip() != "::":
            lines = _inline(block).split("\n")
            bullets = any(line.startswith("- ") for line in lines)
            paragraphs.append("\n".join(lines) if bullets else " ".join(line.strip() for line in lines))
            paragraphs[-1] = re.sub(r"::$", ":", paragraphs[-1])
    return "\n\n".join(paragraphs) + "\n"


def _inline(text: str) -> str:
    """Return reStructuredText as Markdown: roles and double backquotes become code; stars are stars."""
    text = re.sub(r":\w+:`~?(?:shapecnn\.)?([^`]+)`", r"`\1`", text)
    text = re.sub(r"``([^`]+)``", r"`\1`", text)
    parts = re.split(r"(`[^`]+`)", text)
    return "".join(part if number % 2 else re.sub(r"([*_<\[\]])", r"\\\1", part) for number, part in enumerate(parts))
