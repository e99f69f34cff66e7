"""Write ``docs/reference/schemas.md`` from the JSON schemas of the commands; called by scripts/documents.py."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Schema = dict[str, Any]

INTRODUCTION = """\
# JSON results

Generated from the schemas in [`shapecnn/cli/schemas`](../../shapecnn/cli/schemas) by `scripts/documents.py`.

With `--json`, a command prints its result as one JSON value. A command that cannot do its work prints the
[error](#error) in place of it. Tests check what each command prints against its schema, and no schema allows a key
that it does not list. Programs should check `schema_version`; it increases when a key changes its meaning.

A dot leads into an object, `[]` into each item of an array, and `<name>` stands for any key. *Optional* keys can be
absent; all others are always there, if only as null.
"""
_VERSION = "version of this format"
_FROM = "name of the definition"  # of a schema that was given by $ref


class UndescribedKeyError(Exception):
    """A schema has no description, or a key of it has none, neither by itself nor by the definition it refers to."""


def schema_reference(folder: Path) -> str:
    """Return the keys of all schemas of a folder as Markdown, with a type and a meaning for each."""
    parts = [INTRODUCTION]
    for path in sorted(folder.glob("*.json")):
        schema = json.loads(path.read_text())
        if not schema.get("description"):
            raise UndescribedKeyError(f"shapecnn/cli/schemas/{path.name} needs a description")
        parts.append(f"## {path.stem}\n\n`{schema['title'].removesuffix('.')}`. {schema['description']}\n")
        for title, part in _objects(schema):
            rows = list(_rows(part, "", schema, path.stem, {}))
            table = "\n".join(f"| {' | '.join(row)} |" for row in [("key", "type", "meaning"), ("---",) * 3, *rows])
            parts.append(f"{title}{table}\n")
    return "\n".join(parts)


def _objects(schema: Schema) -> Iterator[tuple[str, Schema]]:
    """Yield a line that introduces each kind of object that a command prints, and the schema of the object."""
    if schema["type"] == "object":
        yield "", schema
        for case in schema.get("allOf", ()):  # what some keys hold if another key has a certain value
            ((key, value),) = case["if"]["properties"].items()
            yield f"If `{key}` is {_kind(value, schema)}:\n\n", {"required": schema["required"], **case["then"]}
        return
    kinds = schema["items"].get("oneOf", [schema["items"]])
    for kind in kinds:
        part = _resolved(kind, schema)
        title = kind["$ref"].rpartition("/")[2] if "$ref" in kind else "item"
        meaning = f", {part['description']}" if "description" in part else ""
        yield f"An array of objects. *{title}*{meaning}:\n\n", part


def _rows(part: Schema, path: str, root: Schema, name: str, seen: dict[str, str]) -> Iterator[tuple[str, str, str]]:
    """Yield key, type and meaning of all keys below a part of a schema; of each definition, the keys only once."""
    for key, stated in part.get("properties", {}).items():
        value = _resolved(stated, root)
        where = f"{path}{key}"
        meaning = value.get("description") or _VERSION * (key == "schema_version") or _of_variants(value, root)
        if not meaning:
            raise UndescribedKeyError(f"shapecnn/cli/schemas/{name}.json: {where} needs a description")
        below = list(_below(value, where, root, name, seen))
        if below and isinstance(below[0], str):
            meaning += f"; keys as in `{below[0]}`"
        optional = "" if key in part.get("required", ()) else "optional: "
        yield f"`{where}`", _kind(value, root), _cell(optional + meaning)
        yield from (row for row in below if not isinstance(row, str))


def _of_variants(value: Schema, root: Schema) -> str:
    """Return what the variants of a value mean; nothing is needed for a key that is always null or empty."""
    if value.get("type") == "null" or value.get("maxItems") == 0:
        return "not used here"
    variants = [_resolved(each, root) for each in _variants(value)]
    return "; ".join(each["description"] for each in variants if "description" in each)


def _below(
    value: Schema, where: str, root: Schema, name: str, seen: dict[str, str]
) -> Iterator[tuple[str, str, str] | str]:
    """Yield the keys inside the value of a key, or the key that has the same ones and comes before."""
    if (definition := value.get(_FROM)) and "properties" in value:
        if definition in seen:
            yield seen[definition]
            return
        seen[definition] = where
    variants = [_resolved(each, root) for each in _variants(value)]
    objects = [each for each in variants if each.get("type") != "null"]
    for each in objects:
        if len(objects) > 1:
            yield "", "object", f"*{_cell(each.get('description', 'or'))}*:"
        yield from _below(each, where, root, name, seen)
    yield from _rows(value, f"{where}.", root, name, seen)
    for key, step in (("items", "[]"), ("additionalProperties", ".<name>")):
        inner = value.get(key)
        if isinstance(inner, dict):
            yield from _below(_resolved(inner, root), f"{where}{step}", root, name, seen)


def _variants(value: Schema) -> list[Schema]:
    return list(value.get("oneOf") or value.get("anyOf") or ())


def _resolved(value: Schema, root: Schema) -> Schema:
    """Return a schema with the definition that it refers to, and its name; its own words come first."""
    if "$ref" not in value:
        return value
    name = value["$ref"].rpartition("/")[2]
    return {**_resolved(root["$defs"][name], root), **value, _FROM: name}


def _kind(value: Schema, root: Schema) -> str:
    """Return the type of a value in words, such as ``array of integers from 0``."""
    if "const" in value:
        return f"`{json.dumps(value['const'])}`"
    if "enum" in value:
        return " or ".join(f"`{json.dumps(each)}`" for each in value["enum"])
    if variants := _variants(value):
        return " or ".join(dict.fromkeys(_kind(_resolved(each, root), root) for each in variants))
    types = value.get("type", "any value")
    names = [types] if isinstance(types, str) else list(types)
    words = []
    for each in names:
        if each == "array":
            inner = value.get("items")
            items = "any values" if inner is None else _kind(_resolved(inner, root), root)
            words.append("array of " + re.sub(r"^(object|string|number|integer|array)\b", r"\1s", items))
        else:
            words.append(each + (_limits(value) if each in ("number", "integer") else ""))
    return " or ".join(words)


def _limits(value: Schema) -> str:
    low, high = value.get("minimum"), value.get("maximum")
    above, below = value.get("exclusiveMinimum"), value.get("exclusiveMaximum")
    words = [
        f" {word} {limit}"
        for word, limit in (("from", low), ("above", above), ("to", high), ("below", below))
        if limit is not None
    ]
    return "".join(words)


def _cell(text: str) -> str:
    return (
        text.replace("|", "\\|").replace("*", "\\*").replace("\n", " ") if "`" not in text else text.replace("|", "\\|")
    )
