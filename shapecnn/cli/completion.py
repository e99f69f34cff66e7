"""Shell completion of training configs, models, runs and indexes; click itself completes options and files.

Nothing slow is imported here, because the shell waits for each completion.
"""

from __future__ import annotations

import os
from pathlib import Path

import click
from click.shell_completion import BashComplete, CompletionItem

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


MODELS = {
    "@imagenet": "network trained on photographs",
    "@sph": "spherical harmonics",
    "@lfd": "light field descriptor",
    "@fisher": "Fisher vectors of SIFT features",
}
"""Names of the models that need no training, each with a description, which zsh and fish show."""


def complete_model(_context: click.Context, _parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Complete a model: the names that begin with @, and the runs in a folder.

    Args:
        typed: Beginning of the word to complete.

    Returns:
        The completions. If none matches, a single completion that makes the shell complete folders.
    """
    names = [CompletionItem(name, help=text) for name, text in MODELS.items() if name.startswith(typed)]
    return [*names, *_outputs(typed, "model.json")] or [CompletionItem(typed, type="dir")]


def complete_run(_context: click.Context, _parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Complete a run: the folders that hold one, otherwise any folder, in which the shell goes on.

    Args:
        typed: Beginning of the word to complete.
    """
    return _outputs(typed, "model.json") or [CompletionItem(typed, type="dir")]


def complete_index(_context: click.Context, _parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Complete an index: the folders that hold one, otherwise any folder, in which the shell goes on.

    Args:
        typed: Beginning of the word to complete.
    """
    return _outputs(typed, "index.json") or [CompletionItem(typed, type="dir")]


def _outputs(typed: str, file: str) -> list[CompletionItem]:
    """Return the folders at the typed path that hold a file of this name, such as ``model.json`` of a run."""
    folder, prefix = os.path.split(typed)
    paths = [os.path.join(folder, name) for name in _names(folder) if _fits(name, prefix)]
    return [CompletionItem(path) for path in paths if os.path.isfile(os.path.join(path, file))]


class BashCompletion(BashComplete):
    """Completion for bash, which passes ``@im`` as the two words ``@`` and ``im`` but replaces both of them."""

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the word to complete, and this word with its ``@``."""
        words, typed = super().get_completion_args()
        return (words[:-1], f"@{typed}") if words and words[-1] == "@" else (words, typed)


def _names(folder: str) -> list[str]:
    try:
        return sorted(path.name for path in Path(folder or ".").iterdir())
    except OSError:
        return []


def _fits(name: str, typed: str) -> bool:
    """Return whether a name starts with ``typed``. Hidden files match only if ``typed`` starts with a dot."""
    return name.startswith(typed) and name.startswith(".") == typed.startswith(".")
