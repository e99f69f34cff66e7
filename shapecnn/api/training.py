"""Train a network on artefacts (rendered views or voxel grids) as a config describes, or find its best step size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from shapecnn.artefacts.subset import Subset
from shapecnn.errors import UsageError
from shapecnn.meshes.collection import silent
from shapecnn.models.device import Device
from shapecnn.storage.objects.url import Url, as_path
from shapecnn.storage.outputs import written
from shapecnn.training.plan import is_finished, new_plan, plan_to_resume, stored_plan
from shapecnn.training.result import TrainingResult
from shapecnn.training.step_results import StepSearch
from shapecnn.workers.launch import process_count
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
        data: Folder of artefacts (rendered views or voxel grids), or its URL. None is allowed with ``resume``.
        out: Folder of the run, or its URL; empty or absent, or with ``resume`` the folder of the interrupted training.
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
        ObjectStoreError: The object store of a URL cannot be reached, or refuses.
        BusyError: Another process is training in ``out``.
        TrainingError: The training diverged: the loss or a weight is not finite.

    Example:
        >>> import shapecnn
        >>> changes = {"stages.grids.epochs": 1, "validation.folds": 2}
        >>> result = shapecnn.train("demo-shapenets", "grids", "new-run", settings=changes)
        >>> result.epochs, result.validation.count
        (1, 3)
    """
    values, part, out = _values(settings), Subset.parse(subset) if subset else None, as_path(out)
    config, data = None if config is None else str(config), None if data is None else as_path(data)
    if isinstance(out, Url):
        _require_alone(out, tensorboard)
    if not resume and (config is None or data is None):
        raise UsageError("A new training needs both config and data. Only resume=True works without them.")
    if resume and data is None and is_finished(out):
        plan_to_resume(out, config, values, data, part)  # refuses other settings
        from shapecnn.training.trainer import finished_training  # here, because it imports torch

        return finished_training(out)  # needs no data, which may no longer exist
    with written(out, overwrite=overwrite) as place:
        if resume:
            plan = plan_to_resume(place, config, values, data, part)
            if stored_plan(place) is None:
                say(f"There is no training in {out} to resume: a new one begins there.")
        else:
            plan = new_plan(str(config), values, as_path(str(data)), part)
        from shapecnn.training.trainer import train_plan  # here, because it imports torch

        result = train_plan(
            plan,
            place,
            device=device,
            resume=resume,
            overwrite=overwrite,
            tensorboard=tensorboard,
            bar=bar,
            say=say,
        )
    return replace(result, run=out)


def find_step(
    config: str | Path,
    data: str | Path,
    *,
    settings: Mapping[str, Any] | None = None,
    subset: str | None = None,
    device: Device = "auto",
    epochs: int | None = None,
    bar: ProgressBar = no_bar,
    say: Callable[[str], None] = silent,
) -> StepSearch:
    """Train a network with nine step sizes (learning rates) for a few epochs each, and compare them by validation.

    The learning rates are 1/100 to 100 times the one of the first gradient-descent stage of the config. Each trial
    starts from the same weights. Nothing is stored.

    Args:
        config: Path of a YAML file, or name of a config that is part of shapecnn, such as ``mvcnn-psb``.
        data: Folder of artefacts (rendered views or voxel grids).
        settings: Values that replace settings of the config, by key, such as ``{"network.pooling": "mean"}``.
        subset: Use only the first shapes of each class: ``80+20`` means 80 for training and 20 for testing. None: all.
        device: Device that the network runs on: ``auto``, ``cpu`` or ``cuda``.
        epochs: Number of epochs of each trial. None: 3, or fewer if the stage is shorter.
        bar: Function that opens a progress bar; called once for each trial.
        say: Callback that receives one line of text after each trial.

    Returns:
        Training loss and validation results of each learning rate; ``best`` has the lowest validation loss.

    Raises:
        UsageError: The config or the data cannot be used, no stage uses gradient descent, or no shapes are held out.
        WeightsError: Pretrained weights cannot be downloaded.
        TrainingError: The training diverged with every learning rate.

    Example:
        >>> import shapecnn
        >>> changes = {"network": {"kind": "mlp"}, "validation.folds": 2}
        >>> search = shapecnn.find_step("demo-shapenets", "grids", settings=changes, epochs=1)
        >>> search.stage, len(search.trials), search.best.learning_rate <= 0.1
        ('grids', 9, True)
    """
    if not isinstance(epochs, int | None) or isinstance(epochs, bool) or (epochs is not None and epochs < 1):
        raise UsageError(f"epochs = {epochs!r}: give a whole number from 1.")
    plan = new_plan(str(config), _values(settings), as_path(data), Subset.parse(subset) if subset else None)
    from shapecnn.training.step_search import search_step  # here, because it imports torch

    return search_step(plan, epochs=epochs, device=device, bar=bar, say=say)


def _require_alone(out: Url, tensorboard: bool) -> None:
    """Raise UsageError for a training that cannot be published at a URL."""
    if tensorboard:
        raise UsageError(
            f"--tensorboard writes its log while the training runs, which {out} cannot hold: leave it out."
        )
    if process_count() > 1:
        raise UsageError(f"A training in several processes cannot write to {out}. Write to a local folder.")


def _values(settings: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the settings that replace those of a config, as a new dict."""
    if not isinstance(settings, Mapping | None):
        raise UsageError(f"settings = {settings!r}: give a dict, such as {{'network.pooling': 'mean'}}.")
    return dict(settings or {})
