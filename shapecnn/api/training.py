"""Train a network on artefacts (rendered views or voxel grids), as a config describes, and publish the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from shapecnn.artefacts.subset import Subset
from shapecnn.errors import UsageError
from shapecnn.meshes.collection import silent
from shapecnn.models.device import Device
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
    """Train a network, as a config describes, and write the run.

    Args:
        config: Path of a YAML file, or name of a config that is part of shapecnn, such as ``mvcnn-psb``. None is
            allowed with ``resume``.
        data: Folder of artefacts (rendered views or voxel grids). None is allowed with ``resume``.
        out: Folder of the run; empty or absent, or with ``resume`` the folder of the interrupted training.
        settings: Values that replace settings of the config, by key, such as ``{"network.pooling": "mean"}``.
        subset: Use only the first shapes of each class: ``80+20`` means 80 for training and 20 for testing. None: all.
        device: Device that the network runs on: ``auto``, ``cpu`` or ``cuda``.
        resume: Whether to continue an interrupted training. The final weights equal those of an uninterrupted one.
        overwrite: Whether to replace a training in ``out``, and files that shapecnn did not write.
        tensorboard: Whether to write logs for TensorBoard to ``out`` as well.
        bar: Function that opens a progress bar; called once for each stage of the training.
        say: Callback that receives one line of text after each epoch.

    Returns:
        Validation results and calibration of the run. To use the run, call :func:`shapecnn.open_model`.

    Raises:
        UsageError: The config or the data cannot be used, or ``out`` contains other files.
        MismatchError: ``out`` holds another training.
        WeightsError: Pretrained weights cannot be downloaded.
        BusyError: Another process is training in ``out``.
        TrainingError: The training diverged: the loss or a weight is not finite.

    Example:
        >>> import shapecnn
        >>> changes = {"stages.grids.epochs": 1, "validation.folds": 2}
        >>> result = shapecnn.train("demo-shapenets", "grids", "new-run", settings=changes)
        >>> result.epochs, result.validation.count
        (1, 3)
    """
    if not isinstance(settings, Mapping | None):
        raise UsageError(f"settings = {settings!r}: give a dict, such as {{'network.pooling': 'mean'}}.")
    values, part, out = dict(settings or {}), Subset.parse(subset) if subset else None, Path(out)
    config, data = None if config is None else str(config), None if data is None else Path(data)
    if resume:
        plan = plan_to_resume(out, config, values, data, part)
        if stored_plan(out) is None:
            say(f"There is no training in {out} to resume: a new one begins there.")
    elif config is None or data is None:
        raise UsageError("A new training needs both config and data. Only resume=True works without them.")
    else:
        plan = new_plan(config, values, data, part)
    from shapecnn.training.trainer import finished_training, train_plan  # here, because it imports torch

    if resume and data is None and is_finished(out):
        return finished_training(out)  # needs no data, which may no longer exist
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
