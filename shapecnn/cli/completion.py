"""What a shell offers when a person presses the Tab key, beyond what click knows of files and options."""

from __future__ import annotations

import os
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from shapecnn.settings.files import config_text, description, shipped


def complete_name(_context: click.Context, _parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """The configs that come with shapecnn, each with what it is, which zsh and fish show."""
    return [
        CompletionItem(name, help=description(config_text(name))) for name in sorted(shipped()) if _fits(name, typed)
    ]


def complete_config(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """The same and the YAML files of the folder that is typed; where there is neither, or after --resume, paths."""
    if context.params.get("resume"):
        return [CompletionItem(typed, type="dir")]
    folder, begun = os.path.split(typed)
    files = [name for name in _names(folder) if name.endswith((".yaml", ".yml")) and _fits(name, begun)]
    items = [*complete_name(context, parameter, typed), *(CompletionItem(os.path.join(folder, name)) for name in files)]
    return items or [CompletionItem(typed, type="file")]


def _names(folder: str) -> list[str]:
    try:
        return sorted(path.name for path in Path(folder or ".").iterdir())
    except OSError:
        return []


def _fits(name: str, typed: str) -> bool:
    """Hidden files are offered once their dot is typed."""
    return name.startswith(typed) and name.startswith(".") == typed.startswith(".")
