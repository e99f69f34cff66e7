"""Rows of the table: a fault, how it is provoked, and what came of all tries."""

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
from processes import Fault, end_all

Try = Callable[[np.random.Generator, Path], str]
"""One try, in a folder of its own: raises a Fault or says in a word what it met; Impossible where the machine does not
allow it."""


class Impossible(Exception):  # noqa: N818
    """This machine does not let the fault be provoked; says why."""


@dataclass(frozen=True, slots=True)
class Row:
    """how: it is provoked.  command: what meets the fault.  expected: what every try has to show."""

    fault: str
    how: str
    command: str
    expected: str
    tries: Sequence[Try]

    @property
    def name(self) -> str:
        return f"{self.fault}, {self.command}"


def run_rows(rows: Sequence[Row], folder: Path, seed: int, cores: Sequence[int]) -> list[dict[str, Any]]:
    """What came of each row, told as it is known. Tries run side by side, each on one of ``cores``."""
    lanes = iter(cores)
    lane = local()

    def pin() -> None:
        lane.core = next(lanes)
        os.sched_setaffinity(0, {lane.core})  # of this thread, and of the processes it starts

    def attempt(row: Row, number: int) -> tuple[str, str]:
        """(passed, failed or impossible; what it met)."""
        place = folder / f"try-{lane.core}"
        place.mkdir()
        random = np.random.default_rng([seed, zlib.crc32(row.name.encode()), number])
        try:
            return "passed", row.tries[number](random, place)
        except Fault as fault:
            return "failed", f"try {number}: {fault}"
        except Impossible as reason:
            return "impossible", str(reason)
        except Exception:  # a bug of this program fails the row, and ends nothing
            return "failed", f"try {number}: {traceback.format_exc()}"
        finally:
            end_all(place)  # of a try that failed
            shutil.rmtree(place)

    told = []
    with ThreadPoolExecutor(len(cores), initializer=pin) as side_by_side:
        running = [(row, [side_by_side.submit(attempt, row, k) for k in range(len(row.tries))]) for row in rows]
        for row, futures in running:
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
            told.append(figures)
            counted = f"{figures['passed']} of {figures['tries']}, {figures['impossible'] or figures['met']}"
            print(f"{row.name}: {counted}", *figures["failures"], sep="\n  ", flush=True)
    return told
