"""Base class of all settings (immutable, strictly typed, with a hash), and messages about wrong keys and values.

Settings contain only values that affect the pixels of views, the cells of grids or the features. They are stored with
their hash in the folder of the data. Two sets of settings are equal exactly if their hashes are equal.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import shlex
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)

from shapecnn.errors import UsageError, quoted
from shapecnn.settings.yaml_reader import YamlError, read_yaml

_MOST_LISTED = 5  # largest number of errors or differences in one message


def _whole(value: Any) -> Any:
    if isinstance(value, bool | float):  # a Literal of integers would accept both, as True == 1 and 2.0 == 2
        raise ValueError("Input should be a valid integer")
    return value


COMPLETE = {"complete": True}
"""Context of ``model_dump`` in which also the keys in ``Settings.later`` are written that have their default value."""

Whole = BeforeValidator(_whole)
"""Pydantic validator for literal integers such as ``Literal[1, 2]``: reject ``True`` and ``2.0``."""


class Settings(BaseModel):
    """Base class of all settings: immutable, rejects unknown keys, and does not convert types.

    For example, ``true`` is not accepted as 1, nor ``"224"`` as 224. Exception: an integer is accepted where a
    floating-point number is expected.

    Attributes:
        later: Keys that earlier versions of shapecnn did not have. JSON leaves them out while they have their default
            value, so that the hash of the other settings stays the same.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)

    later: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, /, **values: Any) -> None:
        """Create settings from keyword arguments; a key that is left out gets its default value.

        Raises:
            UsageError: A key is unknown or missing, or a value is not allowed. The message describes up to 5 errors.
        """
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise UsageError(_explain(error, type(self))) from None

    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]  # nested settings are still validated as usual

    @model_serializer(mode="wrap")
    def _without_later_defaults(self, dump: SerializerFunctionWrapHandler, info: SerializationInfo) -> dict[str, Any]:
        values: dict[str, Any] = dump(self)
        if info.context == COMPLETE:
            return values
        fields = type(self).model_fields
        added = {key for key in self.later if getattr(self, key) == fields[key].default}
        return {key: value for key, value in values.items() if key not in added}

    def digest(self) -> str:
        """Return the SHA-256 hash (hex) of the settings, which are serialized as canonical JSON."""
        return settings_hash(self.model_dump(mode="json"))

    def to_json(self) -> dict[str, Any]:
        """Return the settings as a JSON object, with their SHA-256 hash (hex) under the key ``hash``."""
        return {**self.model_dump(mode="json"), "hash": self.digest()}

    @classmethod
    def from_options(cls, /, **options: Any) -> Self:
        """Create settings from JSON values: lists instead of tuples, dicts instead of nested settings.

        Args:
            options: JSON values by key. A missing key gets its default value.

        Raises:
            UsageError: A key is unknown or missing, or a value is not allowed. The message describes up to 5 errors.
        """
        try:
            return cls.model_validate_json(json.dumps(options))
        except ValidationError as error:
            raise UsageError(_explain(error, cls)) from None


def settings_hash(values: Mapping[str, Any]) -> str:
    """Return the SHA-256 hash of settings, serialized as canonical JSON: sorted keys, no spaces, ASCII.

    Args:
        values: Settings as a JSON object, without the key ``hash``.

    Returns:
        64 hexadecimal digits.
    """
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def differences(here: Mapping[str, Any], there: Mapping[str, Any]) -> dict[str, str]:
    """Describe in which keys two sets of settings differ. The key ``hash`` is ignored.

    If the origin (own or imported) differs, only the origin is described. Otherwise, if the kind (views or voxels)
    differs, only the kind is described. In both cases the other keys cannot be compared.

    Args:
        here: Requested settings.
        there: Settings of the stored data.

    Returns:
        Text for each differing key, sorted by key. ``size is 112 there and 224 here`` means: the stored
        value is 112, the requested value is 224.
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
    """Return settings as command-line options of `render` or `voxelize`, quoted for a shell.

    Args:
        settings: Settings as a JSON object.
        keys: Keys of the settings to include, in the order of the options. A key whose value is true becomes a flag,
            such as ``--silhouettes``; a key whose value is false is left out.
    """
    return " ".join(_option(key, settings[key]) for key in keys if settings[key] is not False)


def _option(key: str, value: Any) -> str:
    """Return one setting as a command-line option."""
    if key == "simplify":
        return f"--max-faces {value} --simplify"
    return f"--{key}" if value is True else f"--{key} {shlex.quote(str(value))}"


def _shown(value: Any) -> str:
    """Return a settings value as text for a message, spelt as in a config and shortened to 80 characters."""
    if isinstance(value, str):
        return quoted(value)
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:79]}…"


def few(parts: Iterable[str], between: str = ", ") -> str:
    """Join the first 5 items of a list for a message, and append how many more items the list has.

    Args:
        parts: Items of the list.
        between: Separator between the items.

    Returns:
        Text such as ``a, b, c, d, e, and 3 more``. An empty list gives an empty text.
    """
    texts = [*parts]
    more = len(texts) - _MOST_LISTED
    return between.join(texts[:_MOST_LISTED]) + (f"{between}and {more} more" if more > 0 else "")


def parse_assignments(assignments: tuple[str, ...]) -> dict[str, Any]:
    """Parse ``--set`` options to a dict: ``("views=20", "fit=view")`` gives ``{"views": 20, "fit": "view"}``.

    Args:
        assignments: Texts of the form key=value. Each value is read as YAML. If a key is repeated, its last value
            counts.

    Raises:
        UsageError: A text has no key or no ``=``, or its value is not valid YAML.
    """
    values: dict[str, Any] = {}
    for text in assignments:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"--set {quoted(text)} is not of the form key=value.")
        try:
            values[key.strip()] = read_yaml(value)
        except YamlError as error:
            raise UsageError(f"--set {quoted(text)} cannot be read as YAML: {error}.") from None
    return values


def _explain(error: ValidationError, settings: type[Settings]) -> str:
    """Describe the first 5 validation errors, one sentence per error, and append the number of further errors."""
    errors = error.errors(include_url=False)
    outer = {item["loc"][:end] for item in errors for end in range(len(item["loc"]))}
    innermost = [item for item in errors if item["loc"] not in outer]  # an error inside a value is more precise
    sentences = [_sentence(item, settings) for item in innermost[:_MOST_LISTED]]
    more = len(innermost) - _MOST_LISTED
    return " ".join([*sentences, f"More errors: {more:,}."] if more > 0 else sentences)


def _sentence(item: Mapping[str, Any], settings: type[Settings]) -> str:
    """Describe one validation error in a sentence. For an unknown key, suggest the most similar known key."""
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
    """Suggest a spelling for an unknown key, such as ``did you mean 'views'?``; empty if no known key is similar."""
    close = difflib.get_close_matches(key[:100], known, n=1)
    return f"did you mean {close[0]!r}?" if close else ""


def _locate(place: tuple[int | str, ...], settings: type[Settings]) -> tuple[str, list[str]]:
    """Return the dotted key of a validation error, and the names of all valid keys in the same group of settings.

    The argument ``place`` is the location of the error in pydantic. It also contains the ``kind`` of each union,
    which the dotted key leaves out.
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
    """Return all settings classes that a type annotation contains."""
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return [annotation]
    return [member for argument in get_args(annotation) for member in _members(argument)]
