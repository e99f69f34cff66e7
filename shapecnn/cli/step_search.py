"""Print the result of ``shapecnn train --find-step``: a table of learning rates, and the command to train with."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from shapecnn.cli.console import SCHEMA_VERSION, emit, note
from shapecnn.cli.tables import is_drawn, table
from shapecnn.errors import counted

if TYPE_CHECKING:
    from shapecnn.training.result import Figures
    from shapecnn.training.step_results import StepSearch, StepTrial


def print_search(search: StepSearch, words: Sequence[str], as_json: bool) -> None:
    """Print the training loss and the validation results of each learning rate, as a table or as JSON.

    Args:
        search: Results of all learning rates.
        words: Command that trains, word by word, without a learning rate.
        as_json: Whether to print one JSON value instead of text.
    """
    from shapecnn.training.result import QuantityFigures

    best = search.best
    choice = ["--set", f"stages.{search.stage}.learning_rate={best.learning_rate:g}"]
    command = shlex.join([*words, *choice])
    quantity = isinstance(best.validation, QuantityFigures)
    header = ["learning rate", "training loss", "validation loss", "R²" if quantity else "accuracy", ""]
    cells = [_cells(trial, best) for trial in search.trials]
    rows = table(cells, header, range(4)) if is_drawn() else _aligned([header, *cells])
    if search.at_end:
        note(f"The best learning rate is at the end of the range. To look further, add {shlex.join(choice)}")
    lines = [
        f"Stage {search.stage}, {counted(search.epochs, 'epoch')} with each learning rate:",
        *rows,
        "To train with the best one:",
        f"  {command}",
    ]
    emit({"schema_version": SCHEMA_VERSION, **search.to_json(), "command": command}, as_json, lines)


def _cells(trial: StepTrial, best: StepTrial) -> list[str]:
    rate, mark = f"{trial.learning_rate:g}", "best" if trial is best else ""
    if trial.loss is None or trial.validation is None:
        return [rate, "diverged", "", "", mark]
    return [rate, f"{trial.loss:.4g}", f"{trial.validation.loss:.4g}", _result(trial.validation), mark]


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines for programs, whose columns have the same widths in every search."""
    return [
        f"{rate:>13}  {loss:>13}  {validation:>15}  {result:>8}  {mark}".rstrip()
        for rate, loss, validation, result, mark in rows
    ]


def _result(figures: Figures) -> str:
    """Return the validation accuracy, or R² of a quantity, as text."""
    from shapecnn.training.result import QuantityFigures

    if isinstance(figures, QuantityFigures):
        return "undefined" if figures.R2 is None else f"{figures.R2:.3f}"
    return f"{figures.accuracy:.1%}"
