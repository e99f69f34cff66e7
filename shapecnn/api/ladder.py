"""Train and compare the systems of a lecture, from logistic regression to multi-view networks."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from shapecnn.ladder.climbing import Ladder, climb
from shapecnn.ladder.rungs import choose_rungs
from shapecnn.meshes.collection import silent
from shapecnn.models.device import Device
from shapecnn.settings.views_and_grids import Up
from shapecnn.shared.checks import require_choice, require_path
from shapecnn.shared.results import framed, show_with
from shapecnn.workers.pool import ONE_PER_CORE, Workers, as_workers
from shapecnn.workers.progress import ProgressBar, no_bar


def climb_ladder(
    collection: str | Path,
    out: str | Path,
    rungs: Sequence[str] = (),
    *,
    up: Up = "z",
    settings: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    device: Device = "auto",
    workers: Workers | int = ONE_PER_CORE,
    bar: ProgressBar = no_bar,
    say: Callable[[str], None] = silent,
    command: str = "shapecnn ladder --data COLLECTION --out DIR",
) -> Ladder:
    """Train and compare the systems of a lecture, from logistic regression to multi-view networks.

    All systems are trained on the same train split, and measured on the same test shapes. Views, grids and trained
    networks that an earlier call with the same ``out`` has finished are kept; the systems are measured again.

    Args:
        collection: Folder of meshes, zip file of such a folder, or CSV file with the header path,label,split; with
            labels, and with the splits train and test.
        out: Folder for the views, the grids and the trained networks.
        rungs: Names of the systems, such as ``lenet`` or ``sph``; none for all.
        up: Axis that points up in the meshes: ``x``, ``y`` or ``z``.
        settings: Values that replace settings of every training config that has them, by key.
        overwrite: Whether to replace views, grids and networks in ``out`` that were made with other settings, and files
            that shapecnn did not write.
        device: Device that the networks run on: ``auto``, ``cpu`` or ``cuda``.
        workers: Number of worker processes that read the meshes and draw or voxelize them, or their limits as well.
        bar: Function that opens a progress bar.
        say: Callback that receives each message as one line of text.
        command: Command line that error messages suggest for making views and grids.

    Returns:
        The results of all systems. They print as a table; a notebook shows a page that explains each system.

    Raises:
        UsageError: There is no system of a name, the collection has no training or no test shapes, or ``out`` contains
            other files.
        MismatchError: ``out`` contains results with other settings, and ``overwrite`` is False.

    Example:
        >>> import shapecnn
        >>> ladder = shapecnn.climb_ladder("meshes", "ladder", ["logistic-grids", "sph"])
        >>> [(row["rung"], row["accuracy"] is None) for row in ladder.rows()]
        [('logistic-grids', False), ('sph', True)]
    """
    require_choice("up", up, Up)
    out = require_path("out", out, "a folder")
    os.fspath(out)  # the systems write here, so a URL is an error
    return climb(
        require_path("collection", collection),
        out,
        choose_rungs([rungs] if isinstance(rungs, str) else rungs),
        up=up,
        settings=settings,
        overwrite=overwrite,
        device=device,
        workers=as_workers(workers),
        command=command,
        bar=bar,
        say=say,
    )


def _ladder_html(ladder: Ladder) -> str:
    from shapecnn.report.ladder import page

    return framed(page(ladder))


show_with(Ladder, _ladder_html)
