"""``shapecnn doctor``: say what works on this machine, and how to get the rest."""

from __future__ import annotations

import time
from dataclasses import asdict

import click

from shapecnn.cli.console import SCHEMA_VERSION, emit
from shapecnn.cli.next_steps import suggest
from shapecnn.cli.options import json_option, quiet_option
from shapecnn.cli.progress import progress_bar
from shapecnn.cli.tables import table

_SHOWN = {"ok": "ok", "absent": "not here", "broken": "BROKEN"}


@click.command("doctor")
@click.option(
    "--timeout",
    type=click.FloatRange(1),
    default=120.0,
    show_default=True,
    help="Time limit of each trial, in seconds.",
)
@quiet_option
@json_option
def command(timeout: float, as_json: bool) -> None:
    """Say which renderers, engines, precisions and packages work on this machine, and how to get the others.

    Each renderer draws a small shape and each engine runs a tiny network, in processes of their own, so that a crash
    does no harm. Nothing is downloaded. The exit status is 0 if all that shapecnn needs works, even if optional parts
    are not here, and otherwise 1.

    \b
    Examples:
      shapecnn doctor
      shapecnn doctor --json
    """
    from shapecnn.machine import examine
    from shapecnn.machine.examination import is_sound

    start = time.monotonic()
    with progress_bar("Trying renderers and engines", "parts") as progress:
        findings = examine(timeout, progress)
    good = is_sound(findings)
    answer = {
        "schema_version": SCHEMA_VERSION,
        "good": good,
        "findings": [asdict(finding) for finding in findings],
        "seconds": round(time.monotonic() - start, 3),
    }
    rows = []
    for finding in findings:
        remedy = f": {finding.remedy}" if finding.remedy and finding.state != "ok" else ""
        extra = f" ({finding.remedy})" if finding.remedy and finding.state == "ok" else ""
        rows.append([_SHOWN[finding.state], finding.group, finding.name, f"{finding.detail}{remedy}{extra}"])
    needed = [finding.name for finding in findings if finding.state == "broken"]
    last = "All that shapecnn needs works here." if good else f"shapecnn needs these to work: {', '.join(needed)}."
    emit(answer, as_json, [*table(rows, ["", "part", "name", "what was seen"]), last])
    if good:
        suggest("demo")
    else:
        click.get_current_context().exit(1)
