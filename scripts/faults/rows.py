"""Rows of the table: a fault, how it is provoked, and the results of all tries."""

from __future__ import annotations

import os
import shutil
import traceback
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import local
from typing import Any

import numpy as np
from running import Fault, end_all

Try = Callable[[np.random.Generator, Path], str]
"""Function of one try, called with a generator and an empty folder. It returns the outcome in a word or raises a Fault,
or Impossible if the machine does not allow the fault."""


class Impossible(Exception):  # noqa: N818
    """Raised with the reason if this machine does not allow the fault to be provoked."""


@dataclass(frozen=True, slots=True)
class Row:
    """Row of the table.

    Attributes:
        fault: Name of the fault.
        how: How the fault is provoked.
        command: Command that meets the fault.
        expected: Required outcome of every try.
        tries: Functions of the tries.
    """

    fault: str
    how: str
    command: str
    expected: str
    tries: Sequence[Try]

    @property
    def name(self) -> str:
        return f"{self.fault}, {self.command}"


def run_rows(rows: Sequence[Row], folder: Path, seed: int, cores: Sequence[int]) -> list[dict[str, Any]]:
    """Run all tries, in parallel on one core each, and print the result of each row as soon as it is known.

    Args:
        rows: Rows to run.
        folder: Folder for the files of the tries.
        seed: Seed of the random choices.
        cores: Numbers of the cores to use.

    Returns:
        A dict of figures for each row, as stored in results/faults.json.
    """
    lanes = iter(cores)
    lane = local()

    def pin() -> None:
        lane.core = next(lanes)
        os.sched_setaffinity(0, {lane.core})  # for this thread and the processes that it starts

    def attempt(row: Row, number: int) -> tuple[str, str]:
        """Return the status (passed, failed or impossible) and the outcome."""
        place = folder / f"try-{lane.core}"
        place.mkdir()
        random = np.random.default_rng([seed, zlib.crc32(row.name.encode()), number])
        try:
            return "passed", row.tries[number](random, place)
        except Fault as fault:
            return "failed", f"try {number}: {fault}"
        except Impossible as reason:
            return "impossible", str(reason)
        except Exception:  # a bug of this program fails the try, but does not stop the others
            return "failed", f"try {number}: {traceback.format_exc()}"
        finally:
            end_all(place)  # of failed tries
            shutil.rmtree(place)

    table = []
    with ThreadPoolExecutor(len(cores), initializer=pin) as executor:
        pending = [(row, [executor.submit(attempt, row, k) for k in range(len(row.tries))]) for row in rows]
        for row, futures in pending:
            results = [future.result() for future in futures]
            counts = Counter(status for status, _ in results)
            figures: dict[str, Any] = {
                "fault": row.fault,
                "how": row.how,
                "command": row.command,
                "expected": row.expected,
                "tries": len(results) - counts["impossible"],
                "passed": counts["passed"],
                "met": dict(sorted(Counter(what for status, what in results if status == "passed").items())),
                "failures": [what for status, what in results if status == "failed"],
                "impossible": next((what for status, what in results if status == "impossible"), None),
            }
            table.append(figures)
            summary = f"{figures['passed']} of {figures['tries']}, {figures['impossible'] or figures['met']}"
            print(f"{row.name}: {summary}", *figures["failures"], sep="\n  ", flush=True)
    return table
