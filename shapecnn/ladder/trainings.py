"""Train the networks of the ladder, each by its config in ``configs/ladder``; what is trained is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from shapecnn.errors import MismatchError, StoredDataError, UsageError
from shapecnn.models.device import Device
from shapecnn.settings.experiment import Experiment, has_setting
from shapecnn.training.plan import describe_differences, new_plan, stored_plan
from shapecnn.training.result import TrainingResult
from shapecnn.workers.progress import ProgressBar

REPLACE = "Choose another --out, or replace the results in it with --overwrite."
"""Advice if a folder contains results with other settings or data."""


def changes_of(names: Sequence[str], settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the settings to replace in each training config: those that the config has.

    Args:
        names: Names of the networks.
        settings: Values that replace settings of every config that has them, by key.

    Raises:
        UsageError: None of the configs has a setting, or a setting changes what a system predicts.
    """
    changes: dict[str, dict[str, Any]] = {name: {} for name in names}
    for key, value in settings.items():
        if key in ("target", "one_vs_rest"):
            raise UsageError(
                f"--set {key}: the ladder compares how all systems tell the same classes apart. To train one system "
                f"for another task: shapecnn train ladder/NAME --data DIR --out RUN --set {key}={value}"
            )
        having = [name for name in names if has_setting(f"ladder/{name}", key)]
        if not having:
            raise UsageError(
                f"--set {key}: no system to train has this setting ({', '.join(names) or 'none is trained'}). "
                f"shapecnn configs ladder/NAME prints the settings of a system."
            )
        for name in having:
            changes[name][key] = value
    return changes


def require_same(experiment: Experiment, folder: Path) -> None:
    """Raise MismatchError if a folder contains a training with other settings.

    Damaged files are no error here; they are reported when the network is trained or opened.

    Args:
        experiment: Settings of the training.
        folder: Folder of the run.

    Raises:
        MismatchError: The folder contains a training with other settings.
    """
    try:
        stored = stored_plan(folder)
    except StoredDataError:
        return
    if stored is not None and stored.experiment.digest() != experiment.digest():
        differences = describe_differences(stored.experiment, experiment)
        raise MismatchError(f"{folder} contains a training with other settings ({differences}). {REPLACE}")


class Training(NamedTuple):
    """Training of a network of the ladder: its name, its views or grids, its folder, and settings to replace."""

    name: str
    data: Path
    folder: Path
    settings: Mapping[str, Any]


def train(
    training: Training, device: Device, overwrite: bool, bar: ProgressBar, say: Callable[[str], None]
) -> TrainingResult:
    """Train a network of the ladder, or go on with its training, unless the training has finished.

    Args:
        training: The network, its data, its folder and its settings.
        device: Device that the network runs on: ``auto``, ``cpu`` or ``cuda``.
        overwrite: Whether to replace a training with other settings or data, and other files.
        bar: Function that opens a progress bar.
        say: Callback that receives each message as one line of text.

    Returns:
        The result of the training.

    Raises:
        MismatchError: The folder contains a training with other settings or data, and ``overwrite`` is False.
        StoredDataError: The folder contains damaged files or other files, and ``overwrite`` is False.
    """
    from shapecnn.training.trainer import train_plan  # here, because it imports torch

    name, data, folder, settings = training
    plan = new_plan(f"ladder/{name}", settings, data)
    try:
        return train_plan(plan, folder, device=device, resume=True, overwrite=overwrite, bar=bar, say=say)
    except (MismatchError, StoredDataError):
        if not overwrite:
            raise
    return train_plan(plan, folder, device=device, overwrite=True, bar=bar, say=say)
