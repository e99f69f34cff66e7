"""Settings as frozen, strict values: what changes a pixel, a cell or a feature, and nothing else.

Every artefact carries the settings it was made with and their hash. Two sets of settings are the same exactly
when their hashes are.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import shlex
from collections.abc import Iterable, Mapping
from typing import Any, Self, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    ValidationError,
)

from shapecnn.errors import UsageError, quoted
from shapecnn.settings.yaml_core import YamlError, read_yaml

TOLD = 5  # wrong keys or different values that one message names


def _whole(value: Any) -> Any:
    if isinstance(value, bool | float):  # equal to an integer, and so to a literal one
        raise ValueError("Input should be a valid integer")
    return value


Whole = BeforeValidator(_whole)
"""For ``Literal[1, 2]``, which would take ``True`` and ``2.0`` too."""


class Settings(BaseModel):
    """Base of all settings: frozen, unknown keys are errors, and a value is never converted (true is not 1, "224" is
    not 224) but for an integer where a number is wanted."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)

    def digest(self) -> str:
        """SHA-256 (hex) of the settings as canonical JSON."""
        return settings_hash(self.model_dump(mode="json"))

    def to_json(self) -> dict[str, Any]:
        """The settings as a JSON object, with their ``hash``."""
        return {**self.model_dump(mode="json"), "hash": self.digest()}

    @classmethod
    def from_options(cls, /, **options: Any) -> Self:
        """The settings given as JSON has values (lists for tuples, objects for settings within), or a UsageError that
        names each bad key or value in one sentence."""
        try:
            return cls.model_validate_json(json.dumps(options))
        except ValidationError as error:
            raise UsageError(_explain(error, cls)) from None


def settings_hash(values: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of settings, without their ``hash``, as canonical JSON: sorted keys, no blanks, ASCII."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def differences(here: Mapping[str, Any], there: Mapping[str, Any]) -> dict[str, str]:
    """Each key, but for ``hash``, whose values differ, in order, with both values told.

    Pictures and grids, others' and our own, have little else to compare: of such only that is told.
    """
    here, there = ({"origin": "own"} | {**settings} for settings in (here, there))
    keys = [key for key in sorted({*here, *there} - {"hash"}) if here.get(key) != there.get(key)]
    apart = [key for key in ("origin", "kind") if key in keys][:1]
    told = {
        key: [_shown(settings[key]) if settings.get(key) is not None else "not set" for settings in (there, here)]
        for key in apart or keys
    }
    return {key: f"{key} is {then} there and {now} here" for key, (then, now) in told.items()}


def options(settings: Mapping[str, Any], keys: Iterable[str]) -> str:
    """The options of `render` and `voxelize` that give these of the settings."""
    return " ".join(
        f"--max-faces {settings[key]} --simplify" if key == "simplify" else f"--{key} {shlex.quote(str(settings[key]))}"
        for key in keys
    )


def _shown(value: Any) -> str:
    """A value as a message may hold it, spelt as in a config."""
    if isinstance(value, str):
        return quoted(value)
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:79]}…"


def few(parts: Iterable[str], between: str = ", ") -> str:
    """The first few of what there is to tell, and how many more there are."""
    told = [*parts]
    return between.join(told[:TOLD]) + (f"{between}and {len(told) - TOLD} more" if len(told) > TOLD else "")


def parse_assignments(assignments: tuple[str, ...]) -> dict[str, Any]:
    """``("views=20", "fit=view")`` → ``{"views": 20, "fit": "view"}``, values read as YAML."""
    values: dict[str, Any] = {}
    for text in assignments:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"--set {quoted(text)} is not key=value.")
        try:
            values[key.strip()] = read_yaml(value)
        except YamlError as error:
            raise UsageError(f"--set {quoted(text)} cannot be read as YAML: {error}.") from None
    return values


def _explain(error: ValidationError, settings: type[Settings]) -> str:
    """One sentence for each of the first few things that are wrong."""
    found = error.errors(include_url=False)
    outer = {item["loc"][:end] for item in found for end in range(len(item["loc"]))}
    told = [item for item in found if item["loc"] not in outer]  # what is wrong inside a value says it better
    sentences = [_sentence(item, settings) for item in told[:TOLD]]
    return " ".join(sentences + [f"{len(told) - TOLD:,} more things are wrong."] * (len(told) > TOLD))


def _sentence(item: Mapping[str, Any], settings: type[Settings]) -> str:
    """What is wrong with one key or value, with the nearest known key for an unknown one."""
    key, known = _locate(item["loc"], settings)
    if item["type"] == "extra_forbidden":
        hint = near(str(item["loc"][-1]), known) or f"known keys: {', '.join(known)}."
        return f"Unknown key {quoted(key)}; {hint}"
    if item["type"] == "union_tag_invalid":
        kinds = item["ctx"]["expected_tags"].replace("'", "")
        return f"{key}.kind = {_shown(item['ctx']['tag'])} is none of {kinds}."
    if item["type"] == "union_tag_not_found":
        return f"{key}.kind is missing."
    if item["type"] == "missing":
        return f"{key} is missing."
    reason = item["msg"].removeprefix("Value error, ")
    if item["type"] == "bool_type":
        reason = "Input should be true or false"
    if isinstance(item["input"], str | int | float | None):
        return f"{key} = {_shown(item['input'])}: {reason}."
    return f"{key}: {reason}." if key else f"{reason}."


def near(key: str, known: Iterable[str]) -> str:
    """The question whether the known key that is most like ``key`` was meant; empty if none is like it."""
    close = difflib.get_close_matches(key[:100], known, n=1)
    return f"did you mean {close[0]!r}?" if close else ""


def _locate(place: tuple[int | str, ...], settings: type[Settings]) -> tuple[str, list[str]]:
    """A place of pydantic's, which names the ``kind`` it went by too, as dotted key; and the keys known beside it."""
    keys: list[str] = []
    known: list[str] = []
    members = [settings]
    for part in place:
        if isinstance(part, int):
            keys.append(str(part))
        elif len(members) > 1:
            members = [member for member in members if part in get_args(member.model_fields["kind"].annotation)]
        else:
            fields = members[0].model_fields if members else {}
            keys.append(part)
            known = list(fields)
            members = _members(fields[part].annotation) if part in fields else []
    return ".".join(keys), known


def _members(annotation: Any) -> list[type[Settings]]:
    """The settings that an annotation allows."""
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return [annotation]
    return [member for argument in get_args(annotation) for member in _members(argument)]
