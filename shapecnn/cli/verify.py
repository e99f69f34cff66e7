"""``shapecnn verify``: check that stored results are complete, unchanged and up to date with their sources."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shapecnn.cli.console import SCHEMA_VERSION, emit
from shapecnn.cli.next_steps import suggest
from shapecnn.cli.options import AnyPath, json_option, quiet_option
from shapecnn.cli.progress import progress_bar
from shapecnn.cli.tables import is_drawn, table
from shapecnn.errors import counted

if TYPE_CHECKING:
    from shapecnn.verify import Verification


@click.command("verify")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=AnyPath(path_type=Path))
@click.option("--collection", type=AnyPath(path_type=Path),
              help="Collection that the artefacts or the index were made from, to check for changed, missing and new "
              "meshes. Without this option, the meshes of artefacts are not checked. The meshes of an index are "
              "checked at their stored paths, and new meshes are not found.")  # fmt: skip
@quiet_option
@json_option
def command(paths: tuple[Path, ...], collection: Path | None, as_json: bool) -> None:
    """Check artefacts, runs, indexes and reports for missing, corrupt and stale files.

    A file is missing if it was deleted, and corrupt if its content has changed since it was written. A file is stale if
    its source has changed since: a mesh, the run that computed an index, or the weights for which a metric was learned.
    The exit status is 1 if a file is missing, corrupt or stale.

    \b
    Examples:
      shapecnn verify views/ my-run/ my-index/
      shapecnn verify views/ --collection meshes/ --json
    """
    from shapecnn.verify import stored_kind, verify

    start = time.monotonic()
    kinds = {stored_kind(path) for path in paths}
    if collection is not None and not kinds & {"artefacts", "index"}:
        raise click.UsageError(
            f"--collection {collection} cannot be used: no PATH is a folder of artefacts or an index."
        )
    verifications = []
    for path in paths:
        with progress_bar(f"Verifying {path}", "files") as progress:
            verifications.append(verify(path, collection, progress))
    good = not any(each.findings for each in verifications)
    answer = {
        "schema_version": SCHEMA_VERSION,
        "good": good,
        "folders": [asdict(each) for each in verifications],
        "seconds": round(time.monotonic() - start, 3),
    }
    emit(answer, as_json, _lines(verifications))
    if not good:
        click.get_current_context().exit(1)
    suggest("info", paths[0])


def _lines(verifications: list[Verification]) -> list[str]:
    """Return one line for each folder and each finding; at a terminal, a table of the folders and one of findings."""
    if is_drawn():
        folders = [[each.path, each.kind, f"{each.files:,}", _result(each)] for each in verifications]
        findings = [[finding.fault, finding.message] for each in verifications for finding in each.findings]
        return [
            *table(folders, ["folder", "kind", "files", "result"], [2]),
            *table(findings, ["fault", "what is wrong"]),
        ]
    lines = []
    for each in verifications:
        lines.append(f"{each.path}: {each.kind}, {counted(each.files, 'file')}, {_result(each)}")
        lines += [f"  {finding.fault:8} {finding.message}" for finding in each.findings]
    return lines


def _result(verification: Verification) -> str:
    counts = Counter(finding.fault for finding in verification.findings)
    return ", ".join(f"{count} {fault}" for fault, count in sorted(counts.items())) or "good"
