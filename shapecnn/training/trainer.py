"""Train a network on artefacts (views or voxel grids): check the data and the folder, then run all stages.

The state of the training is saved in ``resume/`` after each epoch, or less often if that takes long. An interrupted
training can be resumed, and then gives the same weights as an uninterrupted one. The library Accelerate provides
devices, precision and processes.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shapecnn.artefacts.manifest import Entry, one_vs_rest
from shapecnn.artefacts.reading import Artefacts, open_artefacts
from shapecnn.artefacts.subset import Subset
from shapecnn.errors import counted
from shapecnn.models.calibration import Calibration
from shapecnn.models.device import Device, require_device
from shapecnn.models.input import Input
from shapecnn.models.run import CONFIG, MODEL, SPLIT, describe_run
from shapecnn.models.run_files import config_bytes
from shapecnn.networks.network import ShapeNetwork
from shapecnn.networks.registry import build_network, fetch_weights
from shapecnn.settings.networks import reads_neighbours
from shapecnn.storage.own import COMPANIONS, remove_all_own, require_own, require_unchanged
from shapecnn.storage.publishing import exclusive, recover
from shapecnn.storage.reading import json_bytes
from shapecnn.storage.sealed import publish_beside
from shapecnn.storage.unfinished import RESUME, RESUME_REMEDY, claim, discard, require_claimed, write_recorded
from shapecnn.training.acceleration import open_accelerator
from shapecnn.training.data import TrainingData
from shapecnn.training.place import describe_origin, require_place
from shapecnn.training.plan import ORIGIN, Plan, is_finished
from shapecnn.training.requirements import (
    measured_shapes,
    require_class,
    require_kind,
    require_part,
    require_ring,
    require_shapes,
    require_spread,
)
from shapecnn.training.result import TrainingResult, stored_figures
from shapecnn.training.resume import State, load_state
from shapecnn.training.session import Session
from shapecnn.training.splits import divide
from shapecnn.workers.launch import is_first_process
from shapecnn.workers.progress import ProgressBar
from shapecnn.workers.progress import stage as progress_stage

if TYPE_CHECKING:
    from accelerate import Accelerator


def train_plan(
    plan: Plan,
    out: Path,
    *,
    device: Device = "auto",
    resume: bool = False,
    overwrite: bool = False,
    tensorboard: bool = False,
    bar: ProgressBar,
    say: Callable[[str], None] = lambda _: None,
) -> TrainingResult:
    """Train a network according to a plan (settings and data), and write the trained network to the run folder.

    Args:
        plan: The settings and the data folder of the training.
        out: Folder of the run, new or empty. With ``resume``, it may contain this training.
        device: Device on which the network computes.
        resume: Whether to continue the training in ``out``. A finished run is left unchanged.
        overwrite: Whether to replace files in ``out`` that shapecnn did not write and, without ``resume``, also an
            earlier training.
        tensorboard: Whether to write TensorBoard logs to ``out``.
        bar: Progress bar of each stage.
        say: Callback with a message after each epoch.

    Returns:
        Folder of the run, number of epochs, validation results and calibration.

    Raises:
        UsageError: The data is unsuitable for training or for this network, or ``out`` contains other files. Raised
            before any training.
        MismatchError: ``out`` contains a training with other settings or data. Raised before any training.
        WeightsError: The pretrained weights are not available. Raised before any training.
        BusyError: Another process is training in ``out``.
        TrainingError: The loss or a weight became infinite or NaN.
    """
    require_device(device)
    require_own(MODEL, out, overwrite)
    if tensorboard:
        require_unchanged(out, ["tensorboard/events"], overwrite=True)
    data = open_data(plan, fetch=not (resume and is_finished(out)), say=say if is_first_process() else lambda _: None)
    origin = describe_origin(plan.experiment, data.division, data.input)
    accelerator = open_accelerator(device, plan.experiment.precision, out if tensorboard else None)
    main, restart = accelerator.is_main_process, overwrite and not resume
    say = say if main else lambda _: None  # only the main process shows messages
    with exclusive(out, overwrite) if main else nullcontext():
        if main:
            require_claimed(out / RESUME, overwrite)
            recover(out / RESUME, overwrite)
            require_unchanged(out, (MODEL, *COMPANIONS[MODEL]), overwrite)
        accelerator.wait_for_everyone()
        if not restart:
            require_place(out, plan, origin, resume)
            if (out / MODEL).exists():
                if main:
                    discard(out / RESUME)  # left over if a process was killed after publishing the run
                return finished_training(out)
        network = initial_network(data)
        unfinished = _begin(out, data, origin, accelerator, restart=restart)
        state = load_state(out / RESUME)
        if resume and unfinished and state is None:
            say(f"The training in {out} was interrupted before its first epoch. It starts again from the first stage.")
        return Session(data, network, accelerator, out, bar, say).run(state or State(), origin)


def finished_training(out: Path) -> TrainingResult:
    """Read the result of a finished training from the run folder.

    Args:
        out: Folder of the run.

    Returns:
        The result that :func:`train_plan` returned.

    Raises:
        StoredDataError: A file of the run is damaged.
    """
    sealed, described = describe_run(out)
    with sealed.validating(MODEL):
        try:
            summary, stored_calibration = described["data"]["training"], described["calibration"]
            figures = stored_figures(summary["validation"]) if summary["validation"] else None
            calibration = Calibration(**stored_calibration) if stored_calibration else None
            return TrainingResult(
                out,
                summary["epochs"],
                summary["best_epoch"],
                figures,
                calibration,
                summary["seconds"],
                described.get("target", "class"),  # missing in runs of earlier versions of shapecnn
            )
        except (KeyError, TypeError):
            raise ValueError("the result of the training is missing or not valid") from None


def open_data(plan: Plan, *, fetch: bool, say: Callable[[str], None]) -> TrainingData:
    """Open the views or grids of a plan, and divide the shapes into training and validation shapes.

    Args:
        plan: The settings and the data folder of the training.
        fetch: Whether to download pretrained weights first, if the network needs any.
        say: Callback with a message, if shapes are left out because the quantity to learn is not known, or if held-out
            shapes have near copies among the training shapes.

    Returns:
        The data of the training.

    Raises:
        UsageError: The data is unsuitable for training or for this network.
        WeightsError: The pretrained weights are not available.
    """
    experiment = plan.experiment
    artefacts = open_artefacts(plan.data)
    require_kind(experiment, artefacts)
    require_ring(experiment.network, artefacts)
    network_input = Input.of(
        artefacts.settings, experiment.network.turns, neighbours=reads_neighbours(experiment.network)
    )
    if fetch:
        with progress_stage("Preparing the initial weights"):
            fetch_weights(experiment.network)  # early, so that a download fails before hours of other work
    entries = _select_entries(artefacts, plan.subset)
    if experiment.target != "class":
        entries = measured_shapes(artefacts, entries, experiment.target, say)
    elif experiment.one_vs_rest is not None:
        require_class(artefacts, entries, experiment.one_vs_rest)
        entries = one_vs_rest(entries, experiment.one_vs_rest)
    division = divide(artefacts, entries, experiment.validation, by_class=experiment.target == "class")
    if division.near_train:
        shapes = counted(len(division.near_train), "held-out shape")
        say(f"{shapes} of {len(division.val)} have a near copy among the shapes to train on; split.json lists them.")
    data = TrainingData(plan, artefacts, division, network_input)
    require_spread(data)
    return data


def _select_entries(artefacts: Artefacts, subset: Subset | None) -> list[Entry]:
    """Select shapes to train on by ``--subset``. All shapes of the splits val and test are kept."""
    if subset is None:
        return list(artefacts.entries)
    untouched = [entry for entry in artefacts.entries if entry.split in ("val", "test")]
    selected = subset.select(set(artefacts.entries) - set(untouched), "train")
    return sorted([*selected, *untouched], key=lambda entry: entry.id)


def initial_network(data: TrainingData) -> ShapeNetwork:
    """Build the network with its initial weights, and check that its parts and the shapes fit the settings.

    Args:
        data: The data of the training, with its settings.

    Returns:
        The network on the CPU.

    Raises:
        UsageError: The network cannot be built, a stage trains a part that it lacks, or a stage has too few shapes.
        WeightsError: The pretrained weights are not available.
    """
    experiment, division = data.experiment, data.division
    network = build_network(
        experiment.network,
        data.input.side,
        data.outputs,
        seed=experiment.seed,
        kind=data.input.kind,
    )
    for stage in experiment.stages:
        require_part(network, stage)
        require_shapes(division, stage)
    return network


def _begin(out: Path, data: TrainingData, origin: dict[str, Any], accelerator: Accelerator, *, restart: bool) -> bool:
    """Write the config, the division of the shapes and the plan to the folder of a run, before training starts.

    Args:
        out: Folder of the run.
        data: Shapes, artefacts and experiment of the training.
        origin: Hashes of config and data, from :func:`shapecnn.training.place.describe_origin`.
        accelerator: Accelerate object. Its main process writes the files, the other processes wait.
        restart: Whether to remove the files of an earlier training.

    Returns:
        Whether ``out`` contained an unfinished training.
    """
    accelerator.wait_for_everyone()  # wait until all processes have checked the folder
    unfinished = (out / RESUME / ORIGIN).exists()
    if accelerator.is_main_process:
        if restart:  # after all checks, so that no error can follow the removal
            remove_all_own(out)
        claim(out / RESUME)
        publish_beside(out / RESUME, {ORIGIN: json_bytes({**origin, "plan": data.plan.to_json()})}, RESUME_REMEDY)
        write_recorded(out / CONFIG, CONFIG, config_bytes(data.experiment), out / RESUME)
        write_recorded(out / SPLIT, SPLIT, json_bytes(data.division.to_json()), out / RESUME)
    accelerator.wait_for_everyone()
    return unfinished
