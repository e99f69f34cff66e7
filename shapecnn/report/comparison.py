"""Write the report of a model comparison: a plot of precision–recall curves, a table, and significance statements."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shapecnn.errors import counted, visible
from shapecnn.evaluation.compare_results import (
    ALPHA,
    CLASSIFICATION_FIGURES,
    RETRIEVAL_FIGURES,
    Comparison,
    Figure,
    Measured,
    Pair,
)
from shapecnn.information.figures import figure_title
from shapecnn.report.charts import Curve, recall_chart
from shapecnn.report.figures import Form, describe, drawing, heading, recall_axes
from shapecnn.report.html import fill
from shapecnn.report.published import CURVES, DATA_SET
from shapecnn.shared.results import aligned
from shapecnn.storage.own import publish_report
from shapecnn.storage.reading import json_bytes
from shapecnn.storage.spreadsheets import csv_text

Table = Callable[[list[list[str]]], list[str]]
"""Function that returns the lines of a table; its first row has the titles."""

FIGURES = (*CLASSIFICATION_FIGURES, *RETRIEVAL_FIGURES)
HEADINGS = (
    "model", "feature", *map(figure_title, FIGURES), "feature size", "parameters", "ms a shape",
    "ms a search",
)  # fmt: skip

# Colours that colour-blind people can distinguish (Okabe and Ito, 2008); markers distinguish the curves in print.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = "osD^vPXp"
_GREY = "#8a929e"


def write_comparison(folder: Path, comparison: Comparison, overwrite: bool = False, *, published: bool = False) -> None:
    """Write the report of a comparison to a folder.

    The files are comparison.json, comparison.csv, comparison.md, pr.svg, pr.png and report.html.

    Args:
        folder: Folder of the report, which is created if it does not exist.
        comparison: Result of the comparison.
        overwrite: Whether to replace files that shapecnn did not write.
        published: Whether to also draw the published curves of :mod:`shapecnn.report.published`.

    Raises:
        UsageError: The report would replace files that shapecnn did not write, and ``overwrite`` is False.
        BusyError: Another process is writing to the folder.
    """
    files = {
        "comparison.json": json_bytes(comparison.to_json()),
        "comparison.csv": csv_table(comparison).encode(),
        "comparison.md": markdown(comparison).encode(),
        "pr.svg": curves(comparison, published=published),
        "pr.png": curves(comparison, "png", published=published),
        "report.html": page(comparison, published=published).encode(),
    }
    publish_report("comparison.json", folder, files, overwrite)


def curves(comparison: Comparison, form: Form = "svg", *, published: bool = False) -> bytes:
    """Plot the precision–recall curve of each compared model: mean interpolated precision at recall 0, 0.1 … 1.

    Args:
        comparison: Result of the comparison.
        form: Format of the picture file.
        published: Whether to also draw the published curves of :mod:`shapecnn.report.published`, dashed and grey. The
            legend says that the published curves are of another data set.

    Returns:
        The content of the picture file.
    """
    recall = np.arange(11) / 10
    with drawing(form) as (figure, file):
        figure.set_size_inches(9, 5.5)
        axes = figure.add_subplot()
        if published:
            axes.plot([], [], " ", label="measured here:")
        for k, one in enumerate(comparison.measured):
            retrieval = one.evaluation.retrieval
            if retrieval is not None and retrieval.pr11 is not None:
                label = visible(f"{one.name}: mAP {retrieval.mAP:.3f}")
                colour, marker = _COLOURS[k % len(_COLOURS)], _MARKERS[k % len(_MARKERS)]
                axes.plot(
                    recall, retrieval.pr11, "-", color=colour, marker=marker, markersize=4, clip_on=False, label=label
                )
        if published:
            axes.plot([], [], " ", label=f"\nanother data set, not to be compared:\n{DATA_SET}, as published")
            for marker, (name, curve) in zip("123", CURVES.items(), strict=True):
                axes.plot(recall, curve, "--", color=_GREY, marker=marker, markersize=7, label=name)
        recall_axes(axes)
        axes.set_title(heading(_title(comparison), *_rules(comparison)), fontsize=9, loc="left")
        if axes.get_legend_handles_labels()[1]:  # no class may have two shapes, and thus no model a curve
            axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, fontsize=9)
    return file.getvalue()


def statements(comparison: Comparison) -> list[str]:
    """Return sentences that say which models are significantly better than others.

    Args:
        comparison: Result of the comparison.

    Returns:
        One sentence for each pair of models that differ significantly. If no pair differs, the list has one sentence
        that says so. If no pairs were compared, the list is empty.
    """
    sentences = [_sentence(pair) for pair in comparison.pairs if pair.better]
    if sentences or not comparison.pairs:
        return sentences
    return [f"No model is better than another beyond chance (p > {ALPHA} for every pair)."]


def notes(comparison: Comparison) -> list[str]:
    """Return notes on how the results were measured: shapes, retrieval rules, intervals, tests and times."""
    return [
        *measured_on(comparison),
        "Better: significant by McNemar's exact test for accuracy, or by a permutation test of average precisions for "
        f"mAP; both tests are paired and two-sided; p is corrected for the number of pairs (Holm) and at most {ALPHA}",
        "ms a shape: time of the network with inputs in memory, one shape at a time, median of up to 16 shapes; "
        "ms a search: time to sort the whole gallery by similarity to one feature, median of 100 searches",
    ]


def measured_on(comparison: Comparison) -> list[str]:
    """Return notes on the shapes, the retrieval rules and the intervals."""
    left_out = [
        f"{one.name} has {one.contender.left_out} more, which were left out"
        for one in comparison.measured
        if one.contender.left_out
    ]
    return [
        f"{_title(comparison)}, the same for all models" + "".join(f"; {text}" for text in left_out),
        *_rules(comparison),
        "In parentheses: 95 % intervals, 10,000 resamples of the shapes (mean class accuracy, macro mAP: within each "
        f"class), seed {comparison.seed}",
    ]


def rows(comparison: Comparison) -> list[list[str]]:
    """Return the rows of the results table: formatted cells in the columns of ``HEADINGS``, one row for each model."""
    return [
        [
            one.name,
            one.evaluation.feature,
            *(formatted_rate(one.figures[name]) for name in FIGURES),
            f"{one.feature_size}",
            f"{one.parameters / 1e6:.2f} M",
            f"{1e3 * one.seconds_per_shape:.1f}",
            f"{1e3 * one.seconds_per_search:.2f}",
        ]
        for one in comparison.measured
    ]


def markdown(comparison: Comparison) -> str:
    """Return the report as Markdown: the results table, the significance statements and the notes."""
    lines = [
        _row(HEADINGS),
        _row(["---", "---", *["---:"] * (len(HEADINGS) - 2)]),
        *(_row([text.replace("|", "\\|") for text in cells]) for cells in rows(comparison)),
        "",
        *(f"- {text}" for text in statements(comparison)),
        "",
        *(f"- {text}." for text in notes(comparison)),
    ]
    return "\n".join(map(visible, lines)) + "\n"


def lines(comparison: Comparison, table: Table = aligned) -> list[str]:
    """Return the lines that ``shapecnn compare`` prints.

    The lines are a short table, a statement on the significance of each difference, the number of shapes and their
    split, and how retrieval was measured.

    Args:
        comparison: Result of the comparison.
        table: Function that returns the lines of a table; its first row has the titles.
    """
    names = map(figure_title, comparison.measured[0].evaluation.headline_names)
    columns = [HEADINGS.index(name) for name in ("model", *names, "ms a shape")]
    cells = [[row[column] for column in columns] for row in [list(HEADINGS), *rows(comparison)]]
    return [*table(cells), *statements(comparison), _title(comparison), *_rules(comparison)]


def csv_table(comparison: Comparison) -> str:
    """Return the results as CSV: one row for each compared model, with the low and high end of each 95 % interval.

    Rates are fractions in [0, 1]. A cell is empty if a value is undefined.
    """
    return csv_text(_csv_rows(comparison))


def _csv_rows(comparison: Comparison) -> Iterator[list[Any]]:
    yield [
        "name", "model", "data", "feature", *(f"{name}{end}" for name in FIGURES for end in ("", "_low", "_high")),
        "feature_size", "parameters", "seconds_per_shape", "seconds_per_search",
    ]  # fmt: skip
    for one in comparison.measured:
        yield [
            one.name, one.evaluation.model, one.evaluation.data, one.evaluation.feature,
            *(value for name in FIGURES for value in value_and_ends(one, name)),
            one.feature_size, one.parameters, one.seconds_per_shape, one.seconds_per_search,
        ]  # fmt: skip


def page(comparison: Comparison, *, published: bool = False) -> str:
    """Return the report as an HTML page that needs no other file.

    Args:
        comparison: Result of the comparison.
        published: Whether to also draw the published curves of :mod:`shapecnn.report.published`, dashed and grey.

    Returns:
        The HTML text of the page.
    """
    measured = [
        Curve(f"{one.name}: mAP {one.evaluation.retrieval.mAP:.3f}", one.evaluation.retrieval.pr11)
        for one in comparison.measured
        if one.evaluation.retrieval is not None and one.evaluation.retrieval.pr11 is not None
    ]
    others = [Curve(f"{name}: {DATA_SET}, as published; not to be compared", curve, True) for name, curve in
              CURVES.items()] if published else []  # fmt: skip
    return fill(
        "comparison.html",
        title=_title(comparison),
        headings=HEADINGS,
        rows=[
            list(zip(cells, ("", "", *_values(one)), strict=True))
            for cells, one in zip(rows(comparison), comparison.measured, strict=True)
        ],
        statements=statements(comparison),
        notes=notes(comparison),
        chart=recall_chart([*measured, *others], "precision–recall curve of each model"),
    )


def _values(one: Measured) -> list[float | None]:
    """Return what the table on the page sorts by, in the columns of ``HEADINGS`` after the first two."""
    figures = [one.figures[name].value for name in FIGURES]
    return [*figures, one.feature_size, one.parameters, one.seconds_per_shape, one.seconds_per_search]


def _title(comparison: Comparison) -> str:
    return f"{counted(len(comparison.measured[0].evaluation.entries), 'shape')} of split {comparison.split}"


def _rules(comparison: Comparison) -> list[str]:
    retrieval = comparison.measured[0].evaluation.retrieval
    return describe(retrieval) if retrieval else []


def _sentence(pair: Pair) -> str:
    worse = pair.second if pair.better == pair.first else pair.first
    towards = 1 if pair.better == pair.first else -1
    low, high = sorted(100 * towards * end for end in pair.interval)
    p = f"p = {pair.p_holm:.3f}" if pair.p_holm >= 0.001 else "p < 0.001"
    return (
        f"{pair.better} is better than {worse} in {pair.figure}, by {100 * abs(pair.difference):.1f} points "
        f"(95 %: {low:.1f} to {high:.1f}; {p})."
    )


def formatted_rate(figure: Figure) -> str:
    """Return a rate in percent with its 95 % interval in parentheses, such as ``91.2 % (89.9–92.4)``."""
    if figure.value is None:
        return "–"
    between = f" ({100 * figure.interval[0]:.1f}–{100 * figure.interval[1]:.1f})" if figure.interval else ""
    return f"{100 * figure.value:.1f} %{between}"


def value_and_ends(one: Measured, name: str) -> Sequence[float | None]:
    """Return three cells of a spreadsheet: a figure of a model, and the low and high end of its 95 % interval.

    Args:
        one: Results of the model.
        name: Name of the figure, such as ``accuracy``.
    """
    value, interval = one.figures[name]
    return [value, *(interval or (None, None))]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
