"""Trainings: from a config and artefacts to a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from shapecnn.artefacts.subset import Subset
from shapecnn.errors import UsageError
from shapecnn.meshes.collection import silent
from shapecnn.models.engine import Device
from shapecnn.training.plan import is_finished, new_plan, plan_to_resume, stored_plan
from shapecnn.training.result import TrainingResult
from shapecnn.workers.progress import ProgressBar, no_bar


def train(
    config: str | Path | None,
    data: str | Path | None,
    out: str | Path,
    *,
    settings: Mapping[str, Any] | None = None,
    subset: str | None = None,
    device: Device = "auto",
    resume: bool = False,
    overwrite: bool = False,
    tensorboard: bool = False,
    bar: ProgressBar = no_bar,
    say: Callable[[str], None] = silent,
) -> TrainingResult:
    """Train the network that a config describes.

    Args:
        config: Path of a YAML file, or the name of a config that comes with shapecnn, such as ``mvcnn-psb``. With
            ``resume`` it may be None.
        data: Folder of artefacts. With ``resume`` it may be None.
        out: Folder of the run: empty or absent; with ``resume`` that of the training.
        settings: Settings of the config to change, by key, such as ``{"network.pooling": "mean"}``.
        subset: The first shapes of each class of train and test alone, such as ``80+20``.
        device: Where the network runs: ``auto``, ``cpu`` or ``cuda``.
        resume: Continue an interrupted training; it ends with the weights that it would have had.
        overwrite: Replace a training in ``out``, and files that shapecnn did not write.
        tensorboard: Log for TensorBoard too, in ``out``.
        bar: Opens a progress bar for each stage.
        say: Called with a line after each epoch.

    Returns:
        Figures and calibration of the run, which :func:`shapecnn.open_model` opens.

    Raises:
        UsageError: The config or the data cannot be used, or ``out`` is not free.
        MismatchError: ``out`` holds another training.
        WeightsError: Pretrained weights cannot be had.
        BusyError: Another process is training in ``out``.
        TrainingError: The loss or a weight is no longer finite.

    Example:
        >>> import shapecnn
        >>> changes = {"stages.grids.epochs": 1, "validation.folds": 2}
        >>> result = shapecnn.train("demo-shapenets", "grids", "new-run", settings=changes)
        >>> result.epochs, result.validation.count
        (1, 3)
    """
    values, part, out = dict(settings or {}), Subset.parse(subset) if subset else None, Path(out)
    config, data = None if config is None else str(config), None if data is None else Path(data)
    if resume:
        plan = plan_to_resume(out, config, values, data, part)
        if stored_plan(out) is None:
            say(f"There is no training in {out} to go on with: one begins there.")
    elif config is None or data is None:
        raise UsageError("A new training needs a config and data; with resume=True an old one goes on without.")
    else:
        plan = new_plan(config, values, data, part)
    from shapecnn.training.trainer import finished_training, train_plan  # torch

    if resume and data is None and is_finished(out):
        return finished_training(out)  # its data may be gone
    return train_plan(
        plan,
        out,
        device=device,
        resume=resume,
        overwrite=overwrite,
        tensorboard=tensorboard,
        bar=bar,
        say=say,
    )
