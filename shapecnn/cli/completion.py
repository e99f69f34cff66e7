"""Shell completion of the names of training configs; click itself completes options and files."""

from __future__ import annotations

import os
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from shapecnn.settings.config_files import config_text, description, shipped


def complete_name(_context: click.Context, _parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Return the names of the built-in configs that start with the typed text.

    Args:
        typed: Beginning of the word to complete.

    Returns:
        Completions, each with the description of the config, which zsh and fish show.
    """
    return [
        CompletionItem(name, help=description(config_text(name))) for name in sorted(shipped()) if _fits(name, typed)
    ]


def complete_config(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Complete the argument CONFIG of ``train`` with built-in configs and YAML files, or with folders after --resume.

    Args:
        context: Click context of the command, with the options before the word to complete.
        parameter: Argument of the command to complete.
        typed: Beginning of the word to complete.

    Returns:
        The completions. If no config or YAML file matches, a single completion that makes the shell complete paths.
    """
    if context.params.get("resume"):
        return [CompletionItem(typed, type="dir")]
    folder, prefix = os.path.split(typed)
    files = [name for name in _names(folder) if name.endswith((".yaml", ".yml")) and _fits(name, prefix)]
    items = [*complete_name(context, parameter, typed), *(CompletionItem(os.path.join(folder, name)) for name in files)]
    return items or [CompletionItem(typed, type="file")]


def _names(folder: str) -> list[str]:
    try:
        return sorted(path.name for path in Path(folder or ".").iterdir())
    except OSError:
        return []


def _fits(name: str, typed: str) -> bool:
    """Return whether a name starts with ``typed``. Hidden files match only if ``typed`` starts with a dot."""
    return name.startswith(typed) and name.startswith(".") == typed.startswith(".")
