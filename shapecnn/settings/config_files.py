"""Find a training config by its path or by the name of a config that comes with the package, and read its YAML."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from shapecnn.errors import UsageError
from shapecnn.settings.yaml_reader import MOST_BYTES, read_yaml

_ANCHOR_PREFIX = "x-"
"""Prefix of top-level config keys that are ignored, because they only define YAML anchors (as in Docker Compose)."""


def shipped() -> dict[str, Traversable]:
    """Return the config files that come with the package, by name (the path in ``configs`` without ``.yaml``)."""
    return dict(_configs(resources.files("shapecnn.settings").joinpath("configs")))


def _configs(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, Traversable]]:
    for file in folder.iterdir():
        if file.is_dir():
            yield from _configs(file, f"{prefix}{file.name}/")
        elif file.name.endswith(".yaml"):
            yield prefix + file.name.removesuffix(".yaml"), file


def config_text(name: str) -> str:
    """Return the YAML text of a shipped config, with its comments.

    Args:
        name: Name of a shipped config, a key of :func:`shipped`.

    Raises:
        UsageError: No shipped config has this name.
    """
    known = shipped()
    if name not in known:
        raise _unknown(name, known)
    return known[name].read_text("utf-8")


def description(text: str) -> str:
    """Return the description of a config: the first sentence of the comment at its beginning.

    Args:
        text: YAML text of the config.

    Returns:
        The sentence without its full stop, and without an example after a colon.
    """
    lines = [line.removeprefix("#").strip() for line in text.split("\n\n")[0].splitlines() if line.startswith("#")]
    return " ".join(lines).split(". ")[0].split(":  ")[0].rstrip(".:")


def read_config(config: str) -> dict[str, Any]:
    """Read the keys and values of a config file, without checking whether they are valid settings.

    Top-level keys that begin with ``x-`` are left out. They only define YAML anchors, which ``<<: *name`` merges into
    other keys.

    Args:
        config: Path of a YAML file, or name of a shipped config. If both exist, the file is read.

    Returns:
        Values by top-level key.

    Raises:
        UsageError: The config does not exist, is not valid YAML, or has no keys.
    """
    try:
        with _find(config).open("rb") as file:
            values = read_yaml(file.read(MOST_BYTES + 1).decode())
    except (OSError, ValueError) as error:
        raise UsageError(f"{config} cannot be read as YAML: {str(error).splitlines()[0]}.") from None
    if not isinstance(values, dict):
        raise UsageError(f"{config} is not a config: it contains no keys. `shapecnn configs` lists examples.")
    return {key: value for key, value in values.items() if not key.startswith(_ANCHOR_PREFIX)}


def _find(config: str) -> Traversable:
    """Return the file of a config. ``config`` is the path of the file, or the name of a shipped config."""
    if Path(config).is_file():
        return Path(config)
    known = shipped()
    if config in known:
        return known[config]
    raise _unknown(config, known)


def _unknown(config: str, known: Iterable[str]) -> UsageError:
    """Create the error for a config that does not exist. The message suggests the most similar known name."""
    if Path(config).is_dir():
        return UsageError(
            f"{config} is a folder, not a config. Give a YAML file, or a name that `shapecnn configs` lists."
        )
    names = sorted(known)
    within = [name for name in names if name.startswith(f"{config.rstrip('/')}/") or name.endswith(f"/{config}")]
    path = Path(config).with_suffix("")
    close = within or next(filter(None, (difflib.get_close_matches(s, names, n=1) for s in (str(path), path.name))), [])
    hint = f"Did you mean {' or '.join(close)}?" if close else f"Shipped configs: {', '.join(names)}."
    return UsageError(f"There is no config {config!r}. {hint}")
