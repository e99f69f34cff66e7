"""The text that ``shapecnn eval`` prints: lines for programs, and tables with intervals at a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from shapecnn.cli.console import note
from shapecnn.cli.tables import is_drawn, table
from shapecnn.errors import counted, visible
from shapecnn.information.figures import MEANINGS, figure_title

if TYPE_CHECKING:
    from shapecnn.evaluation.classification import Classification, ConfusedPair
    from shapecnn.evaluation.results import Evaluation
    from shapecnn.evaluation.retrieval.protocols import Retrieval

_SHOWN_PAIRS = 3  # number of confused pairs of classes that are printed; JSON and the report have more
_MANY_TIES = 0.01  # fraction of tied ranks in all result lists, above which a note is printed


class _Figure(NamedTuple):
    """One result as text.

    Attributes:
        title: Name of the result.
        value: Its value with its unit, or "undefined".
        interval: Its 95 % interval without a unit; empty if it has none.
        unit: Unit of the interval, with a space before it; empty for a number without a unit.
    """

    title: str
    value: str
    interval: str = ""
    unit: str = ""


def lines(evaluation: Evaluation) -> list[str]:
    """Return the printed lines of an evaluation: its results, and the results without duplicates if computed.

    Args:
        evaluation: The evaluation.
    """
    subset = f", subset {evaluation.subset}" if evaluation.subset else ""
    shapes = counted(len(evaluation.entries), "shape")
    text = [f"{evaluation.model} on {evaluation.data}: {shapes} of {evaluation.split}{subset}"]
    text += _results(evaluation)
    if (distinct := evaluation.distinct) is not None:
        left = len(evaluation.entries) - len(distinct.excluded)
        copies = counted(len(distinct.excluded), "copy", "copies")
        text.append(f"Without {copies}: {counted(left, 'shape')} of {evaluation.split}")
        text += [] if distinct.evaluation is None else _results(distinct.evaluation)
    return text


def _results(evaluation: Evaluation) -> Iterator[str]:
    if (classification := evaluation.classification) is not None:
        names = evaluation.classification_names
        figures = [_rate(name, getattr(classification, name), evaluation.intervals[name]) for name in names]
        yield from _section("classification", [*figures, _rate("ece", classification.ece)])
        yield from _confusions(classification)
    if (regression := evaluation.regression) is not None:
        if regression.left_out:
            note(f"{counted(regression.left_out, 'shape')} without a known {regression.target} left out of the errors.")
        intervals = regression.intervals.items()
        figures = [_number(name, getattr(regression, name), interval) for name, interval in intervals]
        yield from _section(f"regression of the {regression.target}", figures)
    if (retrieval := evaluation.retrieval) is not None:
        from shapecnn.report.figures import describe

        _note_ties(retrieval)
        names = evaluation.retrieval_names
        figures = [_rate(name, getattr(retrieval, name), evaluation.intervals[name]) for name in names]
        figures += [_rate(name, getattr(retrieval, name)) for name in MEANINGS if name not in names]
        described = describe(retrieval)
        if is_drawn():
            yield from _section("retrieval", figures)
            yield from (f"  {line}" for line in described)
        else:
            yield from described
            yield from _section("retrieval", figures)
    if (mix := evaluation.reweighted) is not None:
        title = f"Classes as in {mix.name}"
        if not is_drawn():
            yield f"  {title}:"
        values = [(name, getattr(mix, name), mix.intervals[name]) for name in ("accuracy", "mAP")]
        yield from _section(title, [_rate(*each) for each in values if each[1] is not None])


def _note_ties(retrieval: Retrieval) -> None:
    if (retrieval.tied or 0) > _MANY_TIES:
        note(
            f"Note: {retrieval.tied:.0%} of the retrieved shapes are exactly as similar to the query as another "
            f"retrieved shape. Their order is random, so the retrieval results say little."
        )


def _section(title: str, figures: list[_Figure]) -> Iterator[str]:
    """Yield the results of one task: a line for each, or at a terminal a table with a title."""
    if is_drawn():
        rows = [
            [_explained(each.title), each.value.strip(), each.interval and each.interval + each.unit]
            for each in figures
        ]
        yield from table(rows, [title, "result", "95 % interval"], (1, 2), indent=2)
        return
    for each in figures:
        between = f"  (95 %: {each.interval})" if each.interval else ""
        yield f"  {each.title:20}{each.value}{between}"


def _explained(title: str) -> str:
    """Return the title of a figure; an abbreviation that few know is followed by its meaning: ``FT, first tier``."""
    return f"{title}, {MEANINGS[title]}" if title in MEANINGS and title != "mAP" else title


def _confusions(classification: Classification) -> Iterator[str]:
    """Yield the pairs of classes whose confusion costs most."""
    pairs = classification.confused[:_SHOWN_PAIRS]
    if not pairs:
        return
    if is_drawn():
        rows = [row for pair in pairs for row in _pair_rows(pair, classification)]
        header = ["most costly confusions", "predicted as", "shapes", "points of mean class accuracy lost"]
        yield from table(rows, header, (2, 3), indent=2)
        return
    yield "  most costly confusions:"
    yield from (f"    {_pair(pair, classification)}" for pair in pairs)


def _sides(pair: ConfusedPair) -> list[tuple[str, str, int]]:
    """Return true class, predicted class and number of shapes, in the directions in which a pair is confused."""
    sides = [(pair.first, pair.second, pair.first_as_second), (pair.second, pair.first, pair.second_as_first)]
    return [side for side in sides if side[2]]


def _pair_rows(pair: ConfusedPair, classification: Classification) -> list[list[str]]:
    """Return the rows of a pair of classes; the first has the cost of both directions."""
    rows = [[one, other, f"{count} of {classification.per_class[one].count}", ""] for one, other, count in _sides(pair)]
    rows[0][3] = f"{100 * pair.cost:.1f}"
    return rows


def _pair(pair: ConfusedPair, classification: Classification) -> str:
    """Describe a pair of classes: ``9 of 20 shapes of desk predicted as table (4.5 points of mean class accuracy)``."""
    mistakes = ", ".join(
        f"{count} of {counted(classification.per_class[one].count, 'shape')} of {one} predicted as {other}"
        for one, other, count in _sides(pair)
    )
    return f"{visible(mistakes)} ({100 * pair.cost:.1f} points of mean class accuracy)"


def _number(name: str, value: float | None, interval: tuple[float, float] | None) -> _Figure:
    between = "" if interval is None else f"{interval[0]:.4f} to {interval[1]:.4f}"
    return _Figure(figure_title(name), "undefined" if value is None else f"{value:7.4f}", between)


def _rate(name: str, value: float | None, interval: tuple[float, float] | None = None) -> _Figure:
    between = "" if interval is None else f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f}"
    return _Figure(figure_title(name), "undefined" if value is None else f"{100 * value:5.1f} %", between, " %")
