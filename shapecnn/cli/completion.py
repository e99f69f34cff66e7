"""Shell completion of config names, beyond the files and options that click completes."""

from __future__ import annotations

import os
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from shapecnn.settings.files import config_text, description, shipped


def complete_name(_context: click.Context, _parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Return the names of the built-in configs that match.

    Args:
        typed: Beginning of the word to complete.

    Returns:
        Completions with a description each, which zsh and fish show.
    """
    return [
        CompletionItem(name, help=description(config_text(name))) for name in sorted(shipped()) if _fits(name, typed)
    ]


def complete_config(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Return the built-in configs and the YAML files that match; after --resume, folders.

    Args:
        context: Context of the command, with the options before this word.
        parameter: Argument that is completed.
        typed: Beginning of the word to complete.

    Returns:
        Completions; if nothing matches, one that lets the shell complete paths.
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
    """Whether a name completes ``typed``; hidden files only after their dot."""
    return name.startswith(typed) and name.startswith(".") == typed.startswith(".")
