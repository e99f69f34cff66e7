"""The commands in results/ can be typed today: each names a benchmark, and only options that it takes."""

from __future__ import annotations

import json
import runpy
import shlex
import sys

import pytest

from tests.conftest import ROOT

COMMANDS = {
    str(file.relative_to(ROOT)): json.loads(file.read_text())["command"]
    for file in sorted((ROOT / "results").rglob("*.json"))
}
OF_BENCHMARKS = {name: command for name, command in COMMANDS.items() if command.startswith("python benchmarks/")}


class ParsedError(Exception):
    """Raised in place of the measurement, once the options are read."""


@pytest.mark.parametrize("name", COMMANDS)
def test_the_script_is_there(name: str) -> None:
    program, script, *_ = shlex.split(COMMANDS[name])
    assert program == "python"
    assert (ROOT / script).exists()


@pytest.mark.parametrize("name", OF_BENCHMARKS)
def test_the_benchmark_takes_the_options(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    script, *words = shlex.split(OF_BENCHMARKS[name])[1:]
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import measure

    read = measure.arguments

    def arguments(description: str, **options: object) -> None:
        read(description, **options)  # exits if an option is unknown
        raise ParsedError

    monkeypatch.setattr(measure, "arguments", arguments)
    monkeypatch.setattr(sys, "argv", [str(ROOT / script), *words])
    with pytest.raises(ParsedError):
        runpy.run_path(str(ROOT / script), run_name="__main__")
