"""Base of all settings: frozen, strict values with a hash, and messages about wrong keys and values.

Settings hold what changes a pixel, a cell or a feature, and nothing else. They are stored with their hash beside what
was made with them. Two sets of settings are equal exactly if their hashes are.
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

_MOST_LISTED = 5  # errors or differences that one message names


def _whole(value: Any) -> Any:
    if isinstance(value, bool | float):  # True == 1 and 2.0 == 2, so that a Literal of integers would accept them
        raise ValueError("Input should be a valid integer")
    return value


Whole = BeforeValidator(_whole)
"""Validator for ``Literal[1, 2]``: refuse ``True`` and ``2.0``, which pydantic would accept."""


class Settings(BaseModel):
    """Base of all settings: frozen, without unknown keys, and strict about types.

    Values are not converted: ``true`` is not 1, and ``"224"`` is not 224. The one exception is an integer where a
    floating-point number is expected.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)

    def digest(self) -> str:
        """Return the SHA-256 of the settings as canonical JSON, in hexadecimal."""
        return settings_hash(self.model_dump(mode="json"))

    def to_json(self) -> dict[str, Any]:
        """Return the settings as a JSON object, with their digest under the key ``hash``."""
        return {**self.model_dump(mode="json"), "hash": self.digest()}

    @classmethod
    def from_options(cls, /, **options: Any) -> Self:
        """Return settings from values as JSON has them: lists for tuples, objects for nested settings.

        Args:
            options: Values by key. Keys that are left out keep their default.

        Raises:
            UsageError: Keys are unknown or missing, or values are not allowed; one sentence for each of the first 5.
        """
        try:
            return cls.model_validate_json(json.dumps(options))
        except ValidationError as error:
            raise UsageError(_explain(error, cls)) from None


def settings_hash(values: Mapping[str, Any]) -> str:
    """Return the SHA-256 of settings as canonical JSON: sorted keys, no spaces, ASCII.

    Args:
        values: The settings as a JSON object, without ``hash``.

    Returns:
        64 hexadecimal digits.
    """
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def differences(here: Mapping[str, Any], there: Mapping[str, Any]) -> dict[str, str]:
    """Describe each key whose values differ, except ``hash``.

    If the origin differs (own or imported), or else the kind (views or voxels), only that is described: the other keys
    then have different meanings.

    Args:
        here: Requested settings.
        there: Settings of the stored data.

    Returns:
        Phrases such as ``size is 112 there and 224 here``, by key, in alphabetical order.
    """
    here, there = ({"origin": "own"} | {**settings} for settings in (here, there))
    keys = [key for key in sorted({*here, *there} - {"hash"}) if here.get(key) != there.get(key)]
    decisive = [key for key in ("origin", "kind") if key in keys][:1]
    values = {
        key: [_shown(settings[key]) if settings.get(key) is not None else "not set" for settings in (there, here)]
        for key in decisive or keys
    }
    return {key: f"{key} is {stored} there and {asked} here" for key, (stored, asked) in values.items()}


def options(settings: Mapping[str, Any], keys: Iterable[str]) -> str:
    """Return the command-line options of `render` and `voxelize` for some of the settings, quoted for a shell.

    Args:
        settings: Settings as a JSON object.
        keys: Keys that become options, in this order.
    """
    return " ".join(
        f"--max-faces {settings[key]} --simplify" if key == "simplify" else f"--{key} {shlex.quote(str(settings[key]))}"
        for key in keys
    )


def _shown(value: Any) -> str:
    """Return a value as text for a message, spelt as in a config."""
    if isinstance(value, str):
        return quoted(value)
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:79]}…"


def few(parts: Iterable[str], between: str = ", ") -> str:
    """Join the first 5 parts, and say how many more there are.

    Args:
        parts: Parts of a sentence.
        between: Separator.

    Returns:
        Text such as ``a, b, c, d, e, and 3 more``; empty if there are no parts.
    """
    texts = [*parts]
    more = len(texts) - _MOST_LISTED
    return between.join(texts[:_MOST_LISTED]) + (f"{between}and {more} more" if more > 0 else "")


def parse_assignments(assignments: tuple[str, ...]) -> dict[str, Any]:
    """Return the values of ``--set`` options: ``("views=20", "fit=view")`` gives ``{"views": 20, "fit": "view"}``.

    Args:
        assignments: Texts of the form key=value. Values are read as YAML; a later value of a key replaces an earlier.

    Raises:
        UsageError: A text has no key or no ``=``, or its value is not YAML.
    """
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
    """Return one sentence for each of the first 5 errors, and how many more there are."""
    errors = error.errors(include_url=False)
    outer = {item["loc"][:end] for item in errors for end in range(len(item["loc"]))}
    innermost = [item for item in errors if item["loc"] not in outer]  # an error inside a value is more precise
    sentences = [_sentence(item, settings) for item in innermost[:_MOST_LISTED]]
    more = len(innermost) - _MOST_LISTED
    return " ".join([*sentences, f"More errors: {more:,}."] if more > 0 else sentences)


def _sentence(item: Mapping[str, Any], settings: type[Settings]) -> str:
    """Describe one error of a key or value; for an unknown key, suggest the most similar known one."""
    key, known = _locate(item["loc"], settings)
    if item["type"] == "extra_forbidden":
        hint = suggestion(str(item["loc"][-1]), known) or f"known keys: {', '.join(known)}."
        return f"Unknown key {quoted(key)}; {hint}"
    if item["type"] == "union_tag_invalid":
        kinds = item["ctx"]["expected_tags"].replace("'", "")
        return f"{key}.kind = {_shown(item['ctx']['tag'])} is not one of {kinds}."
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


def suggestion(key: str, known: Iterable[str]) -> str:
    """Return ``did you mean 'views'?`` with the known key most similar to ``key``; empty if none is similar."""
    close = difflib.get_close_matches(key[:100], known, n=1)
    return f"did you mean {close[0]!r}?" if close else ""


def _locate(place: tuple[int | str, ...], settings: type[Settings]) -> tuple[str, list[str]]:
    """Return the dotted key of an error, and the known keys of the settings that it is in.

    ``place`` is pydantic's path, which also has the ``kind`` of each union on the way; the dotted key leaves it out.
    """
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
    """Return the settings classes that an annotation allows."""
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return [annotation]
    return [member for argument in get_args(annotation) for member in _members(argument)]
