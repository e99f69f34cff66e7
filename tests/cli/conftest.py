"""Fixture that runs the command line inside the test process."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest

import shapecnn
from shapecnn.cli import main

SCHEMAS = Path(shapecnn.__file__).parent / "cli" / "schemas"


@dataclass
class Run:
    """Result of a command."""

    status: int
    stdout: str
    stderr: str

    def json(self, schema: str) -> dict[str, Any]:
        """Return the JSON value on stdout, checked against a shipped schema."""
        value = json.loads(self.stdout)
        jsonschema.validate(value, json.loads((SCHEMAS / f"{schema}.json").read_text()))
        return value


Command = Callable[..., Run]


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> None:
    """stdout is a terminal of 80 columns, for tables; pytest replaces stdout itself before the test."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("shapecnn.cli.tables.sys", SimpleNamespace(stdout=SimpleNamespace(isatty=lambda: True)))


def cells(lines: Iterable[str]) -> list[list[str]]:
    """The cells of each line of a drawn table, whose columns are at least two spaces apart."""
    return [re.split(r" {2,}", line.strip()) for line in lines]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """Function that runs a command: ``command("render", collection, out, "--json")``."""

    def run(*arguments: object) -> Run:
        typed = [os.fsdecode(a) if isinstance(a, bytes) else str(a) for a in arguments]
        monkeypatch.setattr(sys, "argv", ["shapecnn", *typed])
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            main.run()
        assert isinstance(end.value.code, int)
        return Run(end.value.code, *capfd.readouterr())

    return run
