"""Configs as files: those that come with shapecnn, known by name, and a person's own."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from shapecnn.errors import UsageError
from shapecnn.settings.yaml_core import MOST_BYTES, read_yaml

PLACE_FOR_ANCHORS = "x-"
"""How the keys at the top begin that hold what is only referred to (``&`` and ``*``), as in Docker Compose files."""


def shipped() -> dict[str, Traversable]:
    """The configs that come with the package, by name."""
    folder = resources.files("shapecnn.settings").joinpath("configs")
    return {file.name.removesuffix(".yaml"): file for file in folder.iterdir() if file.name.endswith(".yaml")}


def config_text(name: str) -> str:
    """The YAML of a shipped config, comments included.  Raises UsageError if there is none of that name."""
    known = shipped()
    if name not in known:
        raise _unknown(name, known)
    return known[name].read_text("utf-8")


def description(text: str) -> str:
    """The first sentence of the comment that a config begins with, up to an example."""
    lines = [line.removeprefix("#").strip() for line in text.split("\n\n")[0].splitlines() if line.startswith("#")]
    return " ".join(lines).split(". ")[0].split(":  ")[0].rstrip(".:")


def read_config(config: str) -> dict[str, Any]:
    """The keys and values of a YAML file, or of a shipped config by name, as they are written there.

    Keys that begin with ``x-`` are left out: they hold parts for ``<<: *name``.

    Raises:
        UsageError: There is no such file, it is not YAML, or holds no keys.
    """
    try:
        with _find(config).open("rb") as file:
            values = read_yaml(file.read(MOST_BYTES + 1).decode())
    except (OSError, ValueError) as error:
        raise UsageError(f"{config} cannot be read as YAML: {str(error).splitlines()[0]}.") from None
    if not isinstance(values, dict):
        raise UsageError(f"{config} is not a config: it holds no keys. `shapecnn configs` lists examples.")
    return {key: value for key, value in values.items() if not key.startswith(PLACE_FOR_ANCHORS)}


def _find(config: str) -> Traversable:
    if Path(config).is_file():
        return Path(config)
    known = shipped()
    if config in known:
        return known[config]
    raise _unknown(config, known)


def _unknown(config: str, known: Iterable[str]) -> UsageError:
    if Path(config).is_dir():
        return UsageError(f"{config} is a folder, not a config, which is a YAML file or a name of `shapecnn configs`.")
    close = difflib.get_close_matches(Path(config).stem, known, n=1)
    hint = f"Did you mean {close[0]}?" if close else f"Shipped ones: {', '.join(sorted(known))}."
    return UsageError(f"There is no config {config!r}. {hint}")
