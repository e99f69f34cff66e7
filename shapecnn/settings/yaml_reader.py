"""YAML reader for configs and ``--set`` options, for the core schema of YAML 1.2, with limits on size and depth.

It supports maps with text keys, lists, null, booleans, integers, floating-point numbers and text, and also anchors,
aliases and the merge key ``<<``. Other types are not supported. Unlike in YAML 1.1, which PyYAML reads, ``yes``,
``12:30`` and ``2020-01-01`` are text, and ``1e-3`` is a number.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from typing import Any

import yaml

from shapecnn.errors import quoted, visible

MOST_BYTES = 1 << 18  # largest size of a YAML text; the longest shipped config has 3 KB
MOST_VALUES = 10_000  # largest number of values in a YAML text
DEEPEST = 20  # largest depth of nested lists and maps
_MOST_DIGITS = 1000  # largest number of digits of an integer; Python does not print more than 4300 decimal digits

_TAG = "tag:yaml.org,2002:"
_CONSTANTS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?[0-9]+\Z|0o[0-7]+\Z|0x[0-9a-fA-F]+\Z")
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_SPECIAL = re.compile(r"[-+]?\.(inf|Inf|INF)\Z|\.(nan|NaN|NAN)\Z")
_BASES = {"0o": 8, "0x": 16}


class YamlError(ValueError):
    """Error for a text that cannot be read as YAML. The message names the line, and does not end with a full stop."""


def read_yaml(text: str) -> Any:
    """Parse a YAML text with a single document.

    Args:
        text: The YAML text, at most 256 KB.

    Returns:
        A dict, list, str, int, float or bool. None for null or an empty text.

    Raises:
        YamlError: The text is not valid YAML, uses unsupported types, or exceeds a limit.
    """
    if len(text) > MOST_BYTES:
        raise YamlError(f"the text is longer than {MOST_BYTES >> 10} KB")
    try:
        return _Reader(yaml.parse(text, yaml.SafeLoader)).document()
    except yaml.MarkedYAMLError as error:
        raise YamlError(f"{visible(error.problem or 'the text is not valid')}{_line(error.problem_mark)}") from None
    except yaml.YAMLError as error:  # a character that YAML does not allow
        raise YamlError(visible(str(error).splitlines()[0])) from None


def write_yaml(value: Any) -> str:
    """Format a value as YAML text, which readers of YAML 1.1 and :func:`read_yaml` read in the same way.

    Args:
        value: Dicts, lists, text, numbers, booleans and None. Keys keep their order.
    """
    return str(yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True))


class _Dumper(yaml.SafeDumper):
    """YAML dumper that also quotes text such as ``"1e-3"``, which YAML 1.2 would read as a number."""


for _kind, _pattern in (("int", _INTEGER), ("float", _NUMBER)):
    _Dumper.add_implicit_resolver(f"{_TAG}{_kind}", _pattern, list("-+.0123456789"))


class _Reader:
    """Builds a Python value from the events of the YAML parser, by recursion with a limited depth."""

    def __init__(self, events: Iterator[Any]) -> None:
        self.events = (event for event in events if not isinstance(event, yaml.StreamStartEvent))
        self.anchors: dict[str, tuple[Any, int]] = {}  # by name: the anchored value, and how many values it contains
        self.count = 0

    def document(self) -> Any:
        """Return the value of the YAML document; raise YamlError if a second document follows in the same text."""
        if isinstance(next(self.events), yaml.StreamEndEvent):
            return None
        value = self._value(next(self.events), 0)
        next(self.events)  # the end of the document
        following = next(self.events)
        if not isinstance(following, yaml.StreamEndEvent):
            raise YamlError(f"there is more than one YAML document: the next begins{_line(following.start_mark)}")
        return value

    def _value(self, event: Any, depth: int) -> Any:
        """Build the Python value that begins with the parser event ``event``, at nesting depth ``depth``."""
        self._add(1, event)
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self.anchors:
                raise YamlError(f"undefined alias {quoted(str(event.anchor))}{_line(event.start_mark)}")
            value, size = self.anchors[event.anchor]
            self._add(size, event)  # counted before the copy, because nested aliases can grow exponentially
            return copy.deepcopy(value)  # a change of one copy must not change the other
        before = self.count
        if depth > DEEPEST:
            raise YamlError(f"the text is nested more than {DEEPEST} levels deep{_line(event.start_mark)}")
        if isinstance(event, yaml.ScalarEvent):
            value = _scalar(event)
        elif isinstance(event, yaml.MappingStartEvent):
            value = self._map(event, depth)
        else:
            value = self._list(event, depth)
        if event.anchor is not None:
            self.anchors[event.anchor] = value, self.count - before
        return value

    def _list(self, start: Any, depth: int) -> list[Any]:
        """Build a list from the next parser events, up to the end of the list."""
        _require_tag(start, "seq")
        values = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            values.append(self._value(event, depth + 1))
        return values

    def _map(self, start: Any, depth: int) -> dict[str, Any]:
        """Build a dict from the next parser events. Explicit keys override keys that ``<<`` merges."""
        _require_tag(start, "map")
        values: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        while not isinstance(key := next(self.events), yaml.MappingEndEvent):
            if not isinstance(key, yaml.ScalarEvent):
                raise YamlError(f"a key is not a name, but a list, a map or an alias{_line(key.start_mark)}")
            value = self._value(next(self.events), depth + 1)
            if key.value == "<<" and key.implicit[0]:
                for other in reversed(
                    value if isinstance(value, list) else [value]
                ):  # reversed, because the first map of a list has precedence
                    if not isinstance(other, dict):
                        raise YamlError(f"the merge key << needs a map or a list of maps{_line(key.start_mark)}")
                    merged |= other
            elif key.value in values:
                raise YamlError(f"the key {quoted(key.value)} is repeated{_line(key.start_mark)}")
            else:
                values[key.value] = value
        return {**merged, **values}

    def _add(self, count: int, event: Any) -> None:
        """Add ``count`` to the number of values read so far, and raise YamlError if the sum exceeds the limit."""
        self.count += count
        if self.count > MOST_VALUES:
            raise YamlError(f"the text has more than {MOST_VALUES:,} values{_line(event.start_mark)}")


def _scalar(event: Any) -> Any:
    """Return the Python value of a YAML scalar: typed by its tag if it has one, otherwise by its spelling."""
    text: str = event.value
    plain = event.implicit[0] and event.tag is None
    value = _resolved(text, event) if plain or event.tag not in (None, "!", f"{_TAG}str") else text
    kinds: dict[str, tuple[type, ...]] = {
        "null": (type(None),),
        "bool": (bool,),
        "int": (int,),
        "float": (int, float),
        "str": (str,),
    }
    for kind, types in kinds.items():
        if event.tag == f"{_TAG}{kind}":
            if isinstance(value, types) and isinstance(value, bool) == (kind == "bool"):
                return float(text) if kind == "float" and isinstance(value, int) else value
            raise YamlError(f"{quoted(text)} does not match its tag !!{kind}{_line(event.start_mark)}")
    _require_tag(event, "str")
    return value


def _resolved(text: str, event: Any) -> Any:
    """Convert an unquoted scalar that spells null, a boolean or a number; return any other text unchanged."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.match(text):
        if len(text) > _MOST_DIGITS:
            raise YamlError(f"a number has {len(text):,} digits (limit: {_MOST_DIGITS:,}){_line(event.start_mark)}")
        return int(text, _BASES.get(text[:2], 10))
    if _NUMBER.match(text):
        return float(text)
    return float(text.replace(".", "")) if _SPECIAL.match(text) else text


def _require_tag(event: Any, kind: str) -> None:
    """Raise YamlError if a parser event has a tag other than the standard tag of ``kind`` (seq, map or str)."""
    if event.tag not in (None, "!", f"{_TAG}{kind}"):
        tag = event.tag.replace(_TAG, "!!", 1)
        raise YamlError(f"leave out the unsupported tag {quoted(tag)}{_line(event.start_mark)}")


def _line(mark: Any) -> str:
    """Return the line number of a parser mark as text, such as `` in line 3``; empty if ``mark`` is None."""
    return f" in line {mark.line + 1}" if mark else ""
