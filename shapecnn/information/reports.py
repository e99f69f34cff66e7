"""Read an evaluation report: the figures that it measured, by task."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shapecnn.errors import MismatchError, StoredDataError, UsageError
from shapecnn.information.figures import TASKS, figures_of, intervals_of
from shapecnn.storage.kinds import require_kind
from shapecnn.storage.reading import parse_json, read_stored
from shapecnn.storage.sealed import open_sealed

REPORT = "evaluation.json"


@dataclass(frozen=True, slots=True)
class Measured:
    """One task of one evaluation report.

    Attributes:
        task: ``classification``, ``regression`` or ``retrieval``.
        title: Name of the task, for people.
        data: Folder of the artefacts that were evaluated.
        split: Split that was evaluated.
        count: Number of evaluated shapes.
        protocol: Retrieval protocol and feature, such as ``mvcnn, penultimate``; empty for other tasks.
        figures: Value of each figure by name; None if it is undefined.
        intervals: 95 % interval of each figure that has one, by name.
    """

    task: str
    title: str
    data: str
    split: str
    count: int
    protocol: str
    figures: dict[str, float | None]
    intervals: dict[str, tuple[float, float]]


def read_report(report: Path, run: Path, facts: Mapping[str, Any]) -> list[Measured]:
    """Read the tasks that an evaluation report measured.

    Args:
        report: Folder that ``eval --out`` wrote, or a file with what ``eval --json`` printed.
        run: Folder of the run that the report must be of.
        facts: Description of the run.

    Raises:
        UsageError: ``report`` is no evaluation report.
        MismatchError: The report is of another model.
        StoredDataError: The report is damaged.
    """
    stored = _stored(report)
    model = str(stored["model"])
    same = os.path.realpath(model) == os.path.realpath(run)
    if not same and (model.startswith("@") or Path(model).name != run.resolve().name):
        raise MismatchError(f"{report} is a report of {model}, not of {run}. Give a report of this run.")
    classes = (stored.get("classification") or {}).get("classes")
    if classes is not None and classes != facts["classes"]:
        raise MismatchError(f"{report} has other classes than {run}. Evaluate the run again: shapecnn eval {run}")
    tasks = []
    for task, (title, _) in TASKS.items():
        values = stored.get(task)
        if not values:
            continue
        protocol = f"{values['protocol']}, {values['feature']}" if task == "retrieval" else ""
        tasks.append(
            Measured(
                task, title, str(stored["data"]), str(stored["split"]), int(values.get("count", stored["count"])),
                protocol, figures_of(stored, task), intervals_of(stored, task),
            )
        )  # fmt: skip
    return tasks


def _stored(report: Path) -> dict[str, Any]:
    """Return the content of a report, after a check that it is one."""
    if report.is_dir():
        require_kind(report, "report", "To make one: shapecnn eval RUN --data DIR --out DIR")
        value: Any = open_sealed(report, "Evaluate the run again.").json(REPORT)
    else:
        if not report.exists():
            raise UsageError(f"There is no report at {report}. To make one: shapecnn eval RUN --data DIR --out DIR")
        try:
            value = parse_json(read_stored(report))
        except (OSError, ValueError) as error:
            raise StoredDataError(f"{report} cannot be read as a report ({error}). Evaluate the run again.") from None
    if not isinstance(value, dict) or not {"model", "data", "split", "count", "intervals"} <= value.keys():
        raise UsageError(
            f"{report} is no evaluation report. Give the folder of eval --out, or the output of eval --json."
        )
    return value
