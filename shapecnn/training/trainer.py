"""From artefacts to a trained run: what is there is looked at, then the stages are trained, one after the other.

What a finished epoch leaves is kept in ``resume/``, so that an interrupted training goes on there and ends with the
weights it would have had. Accelerate brings devices, precision and processes.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from shapecnn.artefacts.manifest import Entry
from shapecnn.artefacts.reading import Artefacts, open_artefacts
from shapecnn.artefacts.subset import Subset
from shapecnn.errors import TrainingError
from shapecnn.models.calibration import Calibration
from shapecnn.models.engine import Device, require_device
from shapecnn.models.input import Input
from shapecnn.models.run import CONFIG, MODEL, SPLIT, describe_run
from shapecnn.models.run_files import config_bytes
from shapecnn.networks.network import ShapeNetwork
from shapecnn.networks.registry import build_network, fetch_weights
from shapecnn.settings.experiment import Experiment
from shapecnn.storage.own import WRITES, require_own, require_unchanged, start_anew
from shapecnn.storage.publishing import RESUME, claim, discard, exclusive, recover, require_claimed, write_noted
from shapecnn.storage.reading import json_bytes
from shapecnn.storage.sealed import publish_beside
from shapecnn.training.acceleration import open_accelerator
from shapecnn.training.place import describe_origin, require_place
from shapecnn.training.plan import ORIGIN, Plan, is_finished
from shapecnn.training.requirements import require_fit, require_part, require_shapes
from shapecnn.training.resume import REMEDY, State, load_state
from shapecnn.training.session import Session, Trained
from shapecnn.training.splits import Division, divide
from shapecnn.training.validation import Figures
from shapecnn.workers.progress import ProgressBar
from shapecnn.workers.progress import stage as doing


def train(
    plan: Plan,
    out: Path,
    *,
    device: Device = "auto",
    resume: bool = False,
    overwrite: bool = False,
    tensorboard: bool = False,
    bar: ProgressBar,
    say: Callable[[str], None] = lambda _: None,
) -> Trained:
    """Train as ``plan`` says and leave the run in ``out``.

    Args:
        plan: What is trained on what.
        out: An empty folder or one that is not there; with ``resume`` also one that holds this training.
        device: Where the network runs.
        resume: Go on with what is there. A finished run is left as it is, and told.
        overwrite: Replace files in ``out`` that shapecnn did not write; without ``resume`` also a training there.
        tensorboard: Log for TensorBoard too.
        bar: Shows how far each stage is.
        say: Tells how it goes on.

    Returns:
        What it led to.

    Raises:
        UsageError: The data cannot be trained on or does not fit the network, or ``out`` is taken.
        MismatchError: ``out`` holds another training.
        WeightsError: Pretrained weights cannot be had. All of these are raised before anything is computed.
        BusyError: Another process is training there.
        TrainingError: The loss is no number.
    """
    require_device(device)
    require_own(MODEL, out, overwrite)
    if tensorboard:
        require_unchanged(out, ["tensorboard/events"], overwrite=True)
    experiment, artefacts = plan.experiment, open_artefacts(plan.data)
    seen = Input.of(artefacts.settings, experiment.network.turns)
    require_fit(experiment, seen, plan.data)
    if not (resume and is_finished(out)):
        with doing("Making the weights ready"):
            fetch_weights(experiment.network)  # before hours of anything else
    division = divide(artefacts, _chosen(artefacts, plan.subset), experiment.validation)
    origin = describe_origin(experiment, division, seen)
    accelerator = open_accelerator(device, experiment.precision, out if tensorboard else None)
    main, anew = accelerator.is_main_process, overwrite and not resume
    say = say if main else lambda _: None  # what all do, one tells
    with exclusive(out, overwrite) if main else nullcontext():
        if main:
            require_claimed(out / RESUME, overwrite)
            recover(out / RESUME, overwrite)
            require_unchanged(out, (MODEL, *WRITES[MODEL]), overwrite)
        accelerator.wait_for_everyone()
        if not anew:
            require_place(out, plan, origin, resume)
            if (out / MODEL).exists():
                if main:
                    discard(out / RESUME)  # of a sitting that ended between the two
                return finished_training(out)
        network = _network(experiment, seen, division)
        accelerator.wait_for_everyone()  # all have looked at what is there
        begun = (out / RESUME / ORIGIN).exists()
        if main:
            if anew:  # now that nothing is left to be refused
                start_anew(out)
            _begin(out, plan, origin, division)
        accelerator.wait_for_everyone()
        state = load_state(out / RESUME)
        if resume and begun and state is None:
            say(f"Nothing of the training in {out} was finished yet: it begins with its first stage.")
        session = Session(plan, artefacts, division, seen, out, network, accelerator, bar, say)
        try:
            return session.run(state or State(), origin)
        except TrainingError as error:
            raise TrainingError(
                f"{error} Train it so into another folder, or with --overwrite in the place of this one."
            ) from None


def _chosen(artefacts: Artefacts, subset: Subset | None) -> list[Entry]:
    """The shapes to train on, of all splits but val and test, and those of val and test."""
    if subset is None:
        return list(artefacts.entries)
    untouched = [entry for entry in artefacts.entries if entry.split in ("val", "test")]
    chosen = subset.select(set(artefacts.entries) - set(untouched), "train")
    return sorted([*chosen, *untouched], key=lambda entry: entry.id)


def _network(experiment: Experiment, seen: Input, division: Division) -> ShapeNetwork:
    """That of the experiment, with all the parts and the shapes that its stages need."""
    network = build_network(experiment.network, seen.side, len(division.classes), seed=experiment.seed)
    for stage in experiment.stages:
        require_part(network, stage)
        require_shapes(division, stage)
    return network


def _begin(out: Path, plan: Plan, origin: dict[str, Any], division: Division) -> None:
    """Write what is known before anything is trained."""
    claim(out / RESUME)
    publish_beside(out / RESUME, {ORIGIN: json_bytes({**origin, "plan": plan.to_json()})}, REMEDY)
    write_noted(out / CONFIG, CONFIG, config_bytes(plan.experiment), out / RESUME)
    write_noted(out / SPLIT, SPLIT, json_bytes(division.ids()), out / RESUME)


def finished_training(out: Path) -> Trained:
    """What a finished run says of its training."""
    sealed, described = describe_run(out)
    with sealed.expecting(MODEL):
        try:
            summary, calibrated = described["data"]["training"], described["calibration"]
            figures = Figures(**summary["validation"]) if summary["validation"] else None
            calibration = Calibration(**calibrated) if calibrated else None
            return Trained(out, summary["epochs"], summary["best_epoch"], figures, calibration, summary["seconds"])
        except (KeyError, TypeError):
            raise ValueError("it does not say how it was trained") from None
