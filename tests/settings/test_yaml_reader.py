"""YAML as configs may hold it: known answers of the core schema, and what is refused, each in one clause."""

from __future__ import annotations

import math
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from shapecnn.settings.yaml_reader import DEEPEST, MOST_BYTES, MOST_VALUES, YamlError, read_yaml, write_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("# nothing", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("False", False),
        ("yes", "yes"),  # true in YAML 1.1
        ("off", "off"),
        ("12", 12),
        ("-7", -7),
        ("010", 10),  # 8 in YAML 1.1
        ("0o10", 8),
        ("0x1F", 31),
        ("1_000", "1_000"),
        ("12:30", "12:30"),  # 750 in YAML 1.1
        ("1e-3", 1e-3),  # text in YAML 1.1
        ("1.0e-3", 1e-3),
        (".5", 0.5),
        ("5.", 5.0),
        ("+1E2", 100.0),
        ("-.inf", -math.inf),
        ("2020-01-01", "2020-01-01"),
        ("2020-02-31", "2020-02-31"),
        ("'12'", "12"),
        ('"true"', "true"),
        ("! 12", "12"),
        ("!!str 12", "12"),
        ("!!int '12'", 12),
        ("!!float 12", 12.0),
        ("!!map {a: !!seq [!!null ~, !!bool true]}", {"a": [None, True]}),
        ("{1: a, ~: b, true: c}", {"1": "a", "~": "b", "true": "c"}),
        ("a:\n- b: 1\n  c: [2, {d: 3}]\n- |\n  text\n", {"a": [{"b": 1, "c": [2, {"d": 3}]}, "text\n"]}),
        ("[&x {a: [1]}, *x]", [{"a": [1]}, {"a": [1]}]),
        ("[&x 1, &x 2, *x]", [1, 2, 2]),
        ("[&x {a: 1, b: 2}, {<<: *x, b: 3}]", [{"a": 1, "b": 2}, {"a": 1, "b": 3}]),
        ("[&x {a: 1, b: 2}, {b: 3, <<: *x}]", [{"a": 1, "b": 2}, {"a": 1, "b": 3}]),
        ("[&x {a: 1}, &y {a: 2, b: 2}, {<<: [*x, *y]}]", [{"a": 1}, {"a": 2, "b": 2}, {"a": 1, "b": 2}]),
        ("{'<<': 1}", {"<<": 1}),
    ],
)  # fmt: skip
def test_values_are_those_of_the_core_schema(text: str, value: Any) -> None:
    read = read_yaml(text)
    assert read == value
    assert repr(read) == repr(value)  # 1, 1.0 and true are equal


def test_not_a_number_is_one() -> None:
    assert math.isnan(read_yaml(".nan"))


def test_a_change_of_what_an_alias_repeats_leaves_the_rest_alone() -> None:
    first, second, third = read_yaml("[&x {a: {b: 1}}, *x, {<<: *x}]")
    first["a"]["b"] = 2
    assert second == third == {"a": {"b": 1}}
    assert third["a"] is not second["a"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("!!bool x", "'x' does not match its tag !!bool in line 1"),
        ("!!int ''", "'' does not match its tag !!int in line 1"),
        ("!!int true", "'true' does not match its tag !!int in line 1"),
        ("!!bool 1", "'1' does not match its tag !!bool in line 1"),
        ("a: 1\nb: !!timestamp x", "leave out the unsupported tag '!!timestamp' in line 2"),
        ("!!timestamp 2020-01-01", "leave out the unsupported tag '!!timestamp' in line 1"),
        ("!!set {a, b}", "leave out the unsupported tag '!!set' in line 1"),
        ("!!binary aGk=", "leave out the unsupported tag '!!binary' in line 1"),
        ("!!omap [a: 1]", "leave out the unsupported tag '!!omap' in line 1"),
        ("!mine 1", "leave out the unsupported tag '!mine' in line 1"),
        ("!!str [1]", "leave out the unsupported tag '!!str' in line 1"),
        ("!!python/object/apply:os.getcwd []",
         "leave out the unsupported tag '!!python/object/apply:os.getcwd' in line 1"),
        ("a: 1\na: 2", "the key 'a' is repeated in line 2"),
        ("{a: 1, 'a': 2}", "the key 'a' is repeated in line 1"),
        ("? [1]\n: 2", "a key is not a name, but a list, a map or an alias in line 1"),
        ("[&x a, {*x : 1}]", "a key is not a name, but a list, a map or an alias in line 1"),
        ("--- 1\n--- 2\n", "there is more than one YAML document: the next begins in line 2"),
        ("*x", "undefined alias 'x' in line 1"),
        ("&x [*x]", "undefined alias 'x' in line 1"),
        ("<<: 1", "the merge key << needs a map or a list of maps in line 1"),
        ("<<: [{a: 1}, 2]", "the merge key << needs a map or a list of maps in line 1"),
        ("9" * 5000, "a number has 5,000 digits (limit: 1,000) in line 1"),
        ("0x" + "f" * 4998, "a number has 5,000 digits (limit: 1,000) in line 1"),
        ("[1", "expected ',' or ']', but got '<stream end>' in line 1"),
        ("a: b: c", "mapping values are not allowed here in line 1"),
        ("\x00", "unacceptable character #x0000: special characters are not allowed"),
    ],
)  # fmt: skip
def test_what_is_refused_is_told_with_its_line(text: str, reason: str) -> None:
    with pytest.raises(YamlError) as caught:
        read_yaml(text)
    assert str(caught.value) == reason


def test_depth_is_bounded() -> None:
    assert read_yaml("[" * DEEPEST + "1" + "]" * DEEPEST) is not None
    for text in ("[" * 3000 + "]" * 3000, "[" * 3000, "{a: " * 3000, "- " * 3000, "[" * (DEEPEST + 1) + "1" + "]" * 21):
        with pytest.raises(YamlError, match=f"^the text is nested more than {DEEPEST} levels deep in line 1$"):
            read_yaml(text)


def test_size_is_bounded() -> None:
    with pytest.raises(YamlError, match=r"^the text is longer than 256 KB$"):
        read_yaml("#" * (MOST_BYTES + 1))
    row = f"[{'1, ' * 100}]"
    assert len(read_yaml(f"- {row}\n" * (MOST_VALUES // 102))) == MOST_VALUES // 102
    with pytest.raises(YamlError, match=r"^the text has more than 10,000 values in line 100$"):
        read_yaml(f"- {row}\n" * 110)


def test_aliases_of_aliases_are_counted_before_they_are_copied() -> None:
    """Nine lines that would be 10⁹ values."""
    laughs = "\n".join(["- &a0 ha", *(f"- &a{i} [{f'*a{i - 1}, ' * 10}]" for i in range(1, 10))])
    with pytest.raises(YamlError, match=r"^the text has more than 10,000 values in line 5$"):
        read_yaml(laughs)


plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec="utf-8"))
trees = st.recursive(plain, lambda inner: st.lists(inner) | st.dictionaries(st.text("ab<1e-~", max_size=3), inner))


@given(trees)
def test_what_is_written_reads_back_here_and_by_yaml_1_1(value: Any) -> None:
    text = write_yaml(value)
    assert repr(read_yaml(text)) == repr(value)
    assert yaml.safe_load(text) == value


@pytest.mark.parametrize("text", ["1e-3", "0o17", "12", "yes", "", "~", "2020-01-01", ".5", "<<"])
def test_text_that_looks_like_something_else_stays_text(text: str) -> None:
    assert read_yaml(write_yaml({"key": text, "keys": {text: 1}})) == {"key": text, "keys": {text: 1}}
