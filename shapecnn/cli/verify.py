"""``shapecnn verify``: is what is stored still what was written?"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shapecnn.cli.console import SCHEMA_VERSION, emit
from shapecnn.cli.options import json_option, quiet_option
from shapecnn.cli.progress import progress_bar
from shapecnn.errors import counted

if TYPE_CHECKING:
    from shapecnn.verify import Verification


@click.command("verify")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(path_type=Path))
@click.option("--collection", type=click.Path(path_type=Path),
              help="The meshes that artefacts were made from, or where those of an index are now.")  # fmt: skip
@quiet_option
@json_option
def command(paths: tuple[Path, ...], collection: Path | None, as_json: bool) -> None:
    """Hold artefacts, runs, indexes and reports against their hashes, and against what they were made from.

    Missing is what was there and is gone, corrupt what is not as it was written, stale what was made from something
    that has changed since: a mesh, the run of an index, the weights of a metric. Exits with 1 if there is any.

    \b
    Examples:
      shapecnn verify views/ my-run/ my-index/
      shapecnn verify views/ --collection meshes/ --json
    """
    from shapecnn.verify import stored_kind, verify

    started = time.monotonic()
    kinds = {stored_kind(path) for path in paths}
    if collection is not None and not kinds & {"artefacts", "index"}:
        raise click.UsageError(f"--collection {collection}: of what is given nothing was made from meshes.")
    verified = []
    for path in paths:
        with progress_bar(f"Verifying {path}", "files") as progress:
            verified.append(verify(path, collection, progress))
    good = not any(each.findings for each in verified)
    answer = {
        "schema_version": SCHEMA_VERSION,
        "good": good,
        "folders": [asdict(each) for each in verified],
        "seconds": round(time.monotonic() - started, 3),
    }
    emit(answer, as_json, [line for each in verified for line in _lines(each)])
    if not good:
        click.get_current_context().exit(1)


def _lines(verified: Verification) -> list[str]:
    counts = Counter(finding.fault for finding in verified.findings)
    told = ", ".join(f"{count} {fault}" for fault, count in sorted(counts.items())) or "good"
    lines = [f"{verified.path}: {verified.kind}, {counted(verified.files, 'file')}, {told}"]
    return lines + [f"  {finding.fault:8} {finding.message}" for finding in verified.findings]
