"""The supply chain: whatever gets installed is pinned, the pins fit what is asked for, and each is accounted for."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
RUNTIME = [Requirement(text) for text in PROJECT["dependencies"]]
EXTRAS = [Requirement(text) for texts in PROJECT["optional-dependencies"].values() for text in texts]
SET_UP = RUNTIME + [Requirement(text) for text in PROJECT["optional-dependencies"]["dev"]]  # by `make setup`


def pins() -> dict[str, str]:
    """Version by name, of constraints.txt."""
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    found = [re.fullmatch(r"([A-Za-z0-9._-]+)==([A-Za-z0-9._!+-]+)", line) for line in lines]
    assert all(found), [line for line, match in zip(lines, found, strict=True) if not match]
    return {canonicalize_name(match[1]): match[2] for match in found if match}


def installed(requirements: list[Requirement]) -> set[str]:
    """Names of all that these pull in on this machine, by the metadata of what is installed."""
    names: set[str] = set()
    pending = [(requirement, "") for requirement in requirements]
    seen = set()
    while pending:
        requirement, extra = pending.pop()
        if requirement.marker and not requirement.marker.evaluate({**default_environment(), "extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        names.add(name)
        for asked in ("", *requirement.extras):
            if (name, asked) not in seen:
                seen.add((name, asked))
                pending += [(Requirement(text), asked) for text in metadata.requires(name) or []]
    return names


def test_each_pin_is_in_the_range_that_is_asked_for() -> None:
    pinned = pins()
    for requirement in RUNTIME + EXTRAS:
        version = pinned[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"{requirement} and {version}"


def test_all_that_gets_installed_is_pinned() -> None:
    names = installed(SET_UP)
    assert len(names) > 100
    assert names - pins().keys() == set()


def test_set_up_installs_each_extra_but_those_that_need_a_compiler_or_that_make_docs_installs() -> None:
    left_out = {requirement.name for requirement in EXTRAS} - {requirement.name for requirement in SET_UP}
    assert left_out == {"meshoptimizer"} | {Requirement(text).name for text in PROJECT["optional-dependencies"]["docs"]}


def test_each_dependency_is_accounted_for_with_its_pin() -> None:
    """A row in docs/dependencies.md: package, version."""
    text = (ROOT / "docs" / "dependencies.md").read_text()
    rows = dict(re.findall(r"^\| ([A-Za-z0-9._-]+) \| ([0-9][^ |]*) \|", text, re.MULTILINE))
    expected = {requirement.name: pins()[canonicalize_name(requirement.name)] for requirement in RUNTIME + EXTRAS}
    assert rows == expected


@pytest.mark.parametrize("requirement", ["numpy>=99", "nothing-of-that-name>=1"])
def test_a_pin_that_does_not_fit_would_be_found(requirement: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.RUNTIME", [Requirement(requirement)])
    with pytest.raises((AssertionError, KeyError)):
        test_each_pin_is_in_the_range_that_is_asked_for()
