"""Training from artefacts to a run: checks, then all stages, one after the other.

The state after each epoch is kept in ``resume/``, so that an interrupted training can be resumed and ends with the
weights it would have had. Accelerate brings devices, precision and processes.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shapecnn.artefacts.manifest import Entry
from shapecnn.artefacts.reading import Artefacts, open_artefacts
from shapecnn.artefacts.subset import Subset
from shapecnn.models.calibration import Calibration
from shapecnn.models.engine import Device, require_device
from shapecnn.models.input import Input
from shapecnn.models.run import CONFIG, MODEL, SPLIT, describe_run
from shapecnn.models.run_files import config_bytes
from shapecnn.networks.network import ShapeNetwork
from shapecnn.networks.registry import build_network, fetch_weights
from shapecnn.storage.own import COMPANIONS, remove_all_own, require_own, require_unchanged
from shapecnn.storage.publishing import exclusive, recover
from shapecnn.storage.reading import json_bytes
from shapecnn.storage.sealed import publish_beside
from shapecnn.storage.unfinished import RESUME, claim, discard, require_claimed, write_recorded
from shapecnn.training.acceleration import open_accelerator
from shapecnn.training.data import TrainingData
from shapecnn.training.place import describe_origin, require_place
from shapecnn.training.plan import ORIGIN, Plan, is_finished
from shapecnn.training.requirements import require_kind, require_part, require_shapes
from shapecnn.training.result import TrainingResult
from shapecnn.training.resume import REMEDY, State, load_state
from shapecnn.training.session import Session
from shapecnn.training.splits import divide
from shapecnn.training.validation import ValidationFigures
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
    """Train a network as a plan describes and publish the run.

    Args:
        plan: The experiment and its data.
        out: Folder of the run: empty or absent; with ``resume`` also one that holds this training.
        device: Device on which the network computes.
        resume: Continue the training in ``out``. A finished run is left as it is.
        overwrite: Replace files in ``out`` that shapecnn did not write; without ``resume`` also a training there.
        tensorboard: Log for TensorBoard too, in ``out``.
        bar: Shows the progress of each stage.
        say: Shows a message after each epoch.

    Returns:
        Figures and calibration of the run.

    Raises:
        UsageError: The data cannot be trained on or does not fit the network, or ``out`` is not free.
        MismatchError: ``out`` holds another training.
        WeightsError: Pretrained weights are not available. Like the errors above, raised before anything is computed.
        BusyError: Another process is training in ``out``.
        TrainingError: The loss or a weight is no longer finite.
    """
    require_device(device)
    require_own(MODEL, out, overwrite)
    if tensorboard:
        require_unchanged(out, ["tensorboard/events"], overwrite=True)
    data = _open_data(plan, fetch=not (resume and is_finished(out)))
    origin = describe_origin(plan.experiment, data.division, data.input)
    accelerator = open_accelerator(device, plan.experiment.precision, out if tensorboard else None)
    main, restart = accelerator.is_main_process, overwrite and not resume
    say = say if main else lambda _: None  # one process speaks for all
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
                    discard(out / RESUME)  # left by a process that was killed between publishing and discarding
                return finished_training(out)
        network = _build_network(data)
        unfinished = _begin(out, data, origin, accelerator, restart=restart)
        state = load_state(out / RESUME)
        if resume and unfinished and state is None:
            say(f"Nothing of the training in {out} was finished yet: it begins with its first stage.")
        return Session(data, network, accelerator, out, bar, say).run(state or State(), origin)


def finished_training(out: Path) -> TrainingResult:
    """Read the result of a finished training from its run.

    Args:
        out: Folder of the run.

    Returns:
        What :func:`train` returned.

    Raises:
        StoredDataError: A file of the run is damaged.
    """
    sealed, described = describe_run(out)
    with sealed.validating(MODEL):
        try:
            summary, stored_calibration = described["data"]["training"], described["calibration"]
            figures = ValidationFigures(**summary["validation"]) if summary["validation"] else None
            calibration = Calibration(**stored_calibration) if stored_calibration else None
            return TrainingResult(
                out, summary["epochs"], summary["best_epoch"], figures, calibration, summary["seconds"]
            )
        except (KeyError, TypeError):
            raise ValueError("it does not say how it was trained") from None


def _open_data(plan: Plan, *, fetch: bool) -> TrainingData:
    """Open and divide the data of a plan, and fetch pretrained weights before it is read."""
    artefacts = open_artefacts(plan.data)
    network_input = Input.of(artefacts.settings, plan.experiment.network.turns)
    require_kind(plan.experiment, network_input, plan.data)
    if fetch:
        with progress_stage("Making the weights ready"):
            fetch_weights(plan.experiment.network)  # fails before hours of other work
    division = divide(artefacts, _select_entries(artefacts, plan.subset), plan.experiment.validation)
    return TrainingData(plan, artefacts, division, network_input)


def _select_entries(artefacts: Artefacts, subset: Subset | None) -> list[Entry]:
    """Select the subset of the shapes to train on; splits val and test stay whole."""
    if subset is None:
        return list(artefacts.entries)
    untouched = [entry for entry in artefacts.entries if entry.split in ("val", "test")]
    selected = subset.select(set(artefacts.entries) - set(untouched), "train")
    return sorted([*selected, *untouched], key=lambda entry: entry.id)


def _build_network(data: TrainingData) -> ShapeNetwork:
    """Build the network and require the parts and shapes that its stages need."""
    experiment, division = data.experiment, data.division
    network = build_network(experiment.network, data.input.side, len(division.classes), seed=experiment.seed)
    for stage in experiment.stages:
        require_part(network, stage)
        require_shapes(division, stage)
    return network


def _begin(out: Path, data: TrainingData, origin: dict[str, Any], accelerator: Accelerator, *, restart: bool) -> bool:
    """Write config, split and origin before anything is trained.

    Args:
        out: Folder of the run.
        data: What is trained on.
        origin: All that decides the weights.
        accelerator: The main process writes, the others wait.
        restart: Whether files of an earlier training are removed.

    Returns:
        Whether ``out`` held an unfinished training.
    """
    accelerator.wait_for_everyone()  # until all processes have checked the folder
    unfinished = (out / RESUME / ORIGIN).exists()
    if accelerator.is_main_process:
        if restart:  # only now that nothing is left to refuse
            remove_all_own(out)
        claim(out / RESUME)
        publish_beside(out / RESUME, {ORIGIN: json_bytes({**origin, "plan": data.plan.to_json()})}, REMEDY)
        write_recorded(out / CONFIG, CONFIG, config_bytes(data.experiment), out / RESUME)
        write_recorded(out / SPLIT, SPLIT, json_bytes(data.division.ids()), out / RESUME)
    accelerator.wait_for_everyone()
    return unfinished
