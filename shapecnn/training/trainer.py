"""From artefacts to a trained run: the stages of an experiment, one after the other.

What a finished epoch leaves is kept in ``resume/``, so that an interrupted training goes on there and ends with the
weights it would have had. Accelerate brings devices, precision and processes.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shapecnn.calibration import Calibration
from shapecnn.checkpoint import CONFIG, METRICS, MODEL, SPLIT, config_bytes, describe_run, run_bytes
from shapecnn.classifiers import Classifier
from shapecnn.datasets import Artefacts, open_artefacts
from shapecnn.errors import TrainingError
from shapecnn.evidence import Evidence
from shapecnn.experiment import Experiment, GradientStage, LdaStage
from shapecnn.gallery import Gallery
from shapecnn.inference import Device, require_device
from shapecnn.inputs import Input
from shapecnn.networks.build import build_network
from shapecnn.networks.discriminant import analyse
from shapecnn.networks.network import ShapeNetwork
from shapecnn.own import WRITES, require_own, require_unchanged, start_anew
from shapecnn.sealed import publish_beside
from shapecnn.storage import (
    RESUME,
    claim,
    discard,
    exclusive,
    json_bytes,
    publish,
    recover,
    require_claimed,
    sha256,
    write_noted,
)
from shapecnn.subset import Subset
from shapecnn.training.acceleration import open_accelerator
from shapecnn.training.activations import Activations, encoder, open_activations
from shapecnn.training.calibration import FOLDS, calibrate
from shapecnn.training.crossfit import crossfit
from shapecnn.training.descent import Examples, descend, first_part, outputs
from shapecnn.training.place import ORIGIN, describe_origin, require_place
from shapecnn.training.requirements import AnyStage, require_fit, require_part, require_shapes
from shapecnn.training.resume import REMEDY, State, load_state, save_state
from shapecnn.training.schedules import stalled
from shapecnn.training.splits import Division, divide, folds_of
from shapecnn.training.validation import Figures, better, figures_of, told

if TYPE_CHECKING:
    from accelerate import Accelerator

Bar = Callable[[str, str], AbstractContextManager[Callable[[int, int | None], None]]]
"""(what is done, unit) → a context of progress(done, total)."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training led to.

    epochs: trained in all stages.  best_epoch: the one that was kept, counted from 1; None if none was trained by
    epochs.  validation: of the run as it was saved; None if nothing was held out.  calibration: None if too little was.
    seconds: over all sittings.
    """

    run: Path
    epochs: int
    best_epoch: int | None
    validation: Figures | None
    calibration: Calibration | None
    seconds: float


def train(
    experiment: Experiment,
    data: Path,
    out: Path,
    *,
    command: str,
    subset: Subset | None = None,
    device: Device = "auto",
    resume: bool = False,
    overwrite: bool = False,
    tensorboard: bool = False,
    bar: Bar,
    say: Callable[[str], None] = lambda _: None,
) -> Trained:
    """Train on the artefacts in ``data`` and leave the run in ``out``.

    ``command`` is what a person would type to train it anew. Raises, before anything is computed, UsageError for data
    that cannot be trained on or a network that does not fit it, MismatchError for an ``out`` of another experiment,
    WeightsError, BusyError, and UsageError for files in ``out`` that shapecnn did not write: with ``overwrite`` they
    are replaced, and a training that is there is begun anew; later TrainingError when the loss is no number.
    """
    require_device(device)
    require_own(MODEL, out, overwrite)
    if tensorboard:
        require_unchanged(out, ["tensorboard/events"], overwrite=True)
    artefacts = open_artefacts(data)
    seen = Input.of(artefacts.settings, getattr(experiment.network, "turns", 1))
    require_fit(experiment, seen, data)
    entries = list(artefacts.entries)
    if subset is not None:
        untouched = [entry for entry in entries if entry.split in ("val", "test")]
        entries = sorted([*subset.select(set(entries) - set(untouched), "train"), *untouched], key=lambda e: e.id)
    division = divide(artefacts, entries, experiment.validation)
    origin = describe_origin(experiment, division, seen)
    accelerator = open_accelerator(device, experiment.precision, out if tensorboard else None)
    say = say if accelerator.is_main_process else lambda _: None  # what all do, one tells
    with exclusive(out, overwrite) if accelerator.is_main_process else nullcontext():
        if accelerator.is_main_process:
            require_claimed(out / RESUME, overwrite)
            recover(out / RESUME, overwrite)
            require_unchanged(out, (MODEL, *WRITES[MODEL]), overwrite)
            if overwrite and not resume:
                start_anew(out)
        accelerator.wait_for_everyone()
        require_place(out, experiment, origin, resume, command)
        if (out / MODEL).exists():
            if accelerator.is_main_process:
                discard(out / RESUME)  # of a sitting that ended between the two
            return _told_by(out)
        # An unknown backbone, part or library ends the run before anything is written.
        network = build_network(experiment.network, seen.side, len(division.classes), seed=experiment.seed)
        for stage in experiment.stages:
            require_part(network, stage)
            require_shapes(division, stage)
        accelerator.wait_for_everyone()  # all have looked at what is there
        session = _Session(experiment, artefacts, division, seen, out, network, accelerator, bar, say)
        if accelerator.is_main_process:
            claim(out / RESUME)
            publish_beside(out / RESUME, {ORIGIN: json_bytes(origin)}, REMEDY)
            write_noted(out / CONFIG, CONFIG, config_bytes(experiment), out / RESUME)
            write_noted(out / SPLIT, SPLIT, json_bytes(_ids(division)), out / RESUME)
        accelerator.wait_for_everyone()
        state = load_state(out / RESUME)
        if resume and state is None:
            say(f"There is no finished epoch in {out} to go on from: the training starts anew.")
        try:
            return session.run(state or State(), origin)
        except TrainingError as error:
            raise TrainingError(f"{error} Then start anew, with --overwrite.") from None


class _Session:
    """One sitting of a training."""

    def __init__(
        self,
        experiment: Experiment,
        artefacts: Artefacts,
        division: Division,
        seen: Input,
        out: Path,
        network: ShapeNetwork,
        accelerator: Accelerator,
        bar: Bar,
        say: Callable[[str], None],
    ) -> None:
        self.experiment, self.artefacts, self.division, self.seen, self.out = experiment, artefacts, division, seen, out
        self.accelerator, self.bar, self.say = accelerator, bar, say
        layout = torch.channels_last if seen.kind == "views" else torch.channels_last_3d
        self.network = network.to(accelerator.device).to(memory_format=layout)
        self.entries = [*division.train, *division.val]
        codes = {label: code for code, label in enumerate(division.classes)}
        self.labels = torch.tensor([codes[str(entry.label)] for entry in self.entries])
        self.train_rows = np.arange(len(division.train))
        self.val_rows = np.arange(len(division.train), len(self.entries))
        self.opened: dict[Path, Activations] = {}

    def run(self, state: State, origin: dict[str, Any]) -> Trained:
        """All stages from where ``state`` stands, then the run."""
        clock, before = time.monotonic(), state.seconds
        if state.network is not None:
            self.network.load(state.network)
        self._write(state)
        for number, stage in enumerate(self.experiment.stages):
            if number < state.stage:
                continue
            activations = self._activations(stage)
            if isinstance(stage, GradientStage):
                self._descend(stage, activations, state, lambda: before + time.monotonic() - clock)
            else:
                self._discriminate(stage, activations)
            state.stage, state.epoch, state.optimizer, state.kept, state.best = number + 1, 0, None, None, None
            state.network = _copy(self.network)
            if isinstance(stage, LdaStage):
                state.records.append(self._record(stage.name, self._validate(stage, activations)))
            state.seconds = before + time.monotonic() - clock
            self._save(state)
        last = self.experiment.stages[-1]
        activations = self._activations(last)
        gallery, calibration = self._trust(last, activations) if self.accelerator.is_main_process else (None, None)
        temperature = calibration.temperature if calibration else 1.0
        figures = self._validate(last, activations, vote=True, temperature=temperature)
        done = Trained(
            self.out,
            sum("epoch" in record for record in state.records),
            state.best_epoch,
            figures,
            calibration,
            before + time.monotonic() - clock,
        )
        self._publish(done, origin, gallery, state)
        return done

    def _descend(
        self, stage: GradientStage, activations: Activations, state: State, seconds: Callable[[], float]
    ) -> None:
        """One stage by epochs; leaves the network with the weights that are kept."""
        number = state.stage
        earlier = sum("epoch" in record for record in state.records) - state.epoch
        accuracies = [
            record["validation"]["accuracy"]
            for record in state.records[len(state.records) - state.epoch :]
            if record["validation"]
        ]
        examples = Examples(activations, self.train_rows, self.labels)
        with self.bar(stage.name, "steps") as progress:
            epochs = descend(
                stage,
                self.network,
                examples,
                self.accelerator,
                [self.experiment.seed, number],
                first=state.epoch,
                optimizer_state=state.optimizer,
                accuracies=accuracies,
                progress=progress,
            )
            while not (stage.early_stopping and stalled(accuracies) >= stage.early_stopping):
                clock = time.monotonic()
                epoch = next(epochs, None)
                if epoch is None:
                    break
                figures = self._validate(stage, activations)
                record = self._record(
                    stage.name,
                    figures,
                    epoch=earlier + epoch.number + 1,
                    loss=epoch.loss,
                    learning_rate=epoch.learning_rate,
                    seconds=round(time.monotonic() - clock, 3),
                )
                state.records.append(record)
                if figures is not None:
                    accuracies.append(figures.accuracy)
                state.epoch, state.optimizer, state.network = epoch.number + 1, epoch.optimizer, _copy(self.network)
                select = self.experiment.validation.select
                if select == "last" or better(record["validation"], state.best):
                    state.best, state.best_epoch = record["validation"], record["epoch"]
                    state.kept = state.network if select == "best" else None
                state.seconds = seconds()
                self._save(state)
                self.accelerator.log(
                    {"loss": epoch.loss, "learning rate": epoch.learning_rate, **(record["validation"] or {})},
                    step=record["epoch"],
                )
                self.say(
                    f"{stage.name}, epoch {epoch.number + 1} of {stage.epochs}: loss {epoch.loss:.3f}{told(figures)} "
                    f"({record['seconds']:.0f} s)"
                )
            epochs.close()
        if state.kept is not None:
            self.network.load(state.kept)

    def _discriminate(self, stage: LdaStage, activations: Activations) -> None:
        """The space and its classifier from the features of the train split."""
        _, features = self._outputs(stage, activations, self.train_rows, vote=True)
        labels = self.labels[self.train_rows]
        space, directions = analyse(features, labels, self.network.blocks, shrinkage=stage.shrinkage)
        self.network.discriminate(space, stage.scale * directions)

    def _validate(
        self, stage: AnyStage, activations: Activations, *, vote: bool = False, temperature: float = 1.0
    ) -> Figures | None:
        """Of the held-out shapes; turned grids vote only in the end, as they cost as much as the rest of an epoch.

        One process computes and tells the others: their batch statistics differ, and all have to stop together.
        """
        from accelerate.utils import broadcast_object_list

        if not len(self.val_rows):
            return None
        told = [self._figures(stage, activations, vote, temperature) if self.accelerator.is_main_process else None]
        return cast("Figures", broadcast_object_list(told)[0])

    def _figures(self, stage: AnyStage, activations: Activations, vote: bool, temperature: float) -> Figures:
        logits, _ = self._outputs(stage, activations, self.val_rows, vote)
        return figures_of(logits / temperature, self.labels[self.val_rows], self.division.classes)

    def _trust(self, stage: AnyStage, activations: Activations) -> tuple[Gallery, Calibration | None]:
        """What was trained on, and what the held-out shapes, of which none is there, tell of the scores."""
        _, features = self._outputs(stage, activations, self.train_rows, vote=True)
        train = self.division.train
        gallery = Gallery.of([entry.id for entry in train], [str(entry.label) for entry in train], features.numpy())
        if not len(self.val_rows):
            return gallery, self._crossfitted(stage, activations)
        logits, features = self._outputs(stage, activations, self.val_rows, vote=True)
        state = _copy(self.network)
        known = Evidence(gallery, Classifier(state["classifier.weight"].numpy(), state["classifier.bias"].numpy()))
        labels = self.labels[self.val_rows].numpy()
        return gallery, calibrate(logits.double().numpy(), labels, known.familiarity(features.numpy()))

    def _crossfitted(self, stage: AnyStage, activations: Activations) -> Calibration | None:
        """By cross-validation of the closed form, if that is all there is: what gradients made of the features knows
        the shapes they came from."""
        if not isinstance(stage, LdaStage) or self._last_trained() is not None:
            return None
        folds = folds_of(self.artefacts, self.division.train, FOLDS, self.experiment.validation.seed)
        if folds is None:
            return None
        bare = copy.deepcopy(self.network)
        bare.discriminant = bare.classifier = None
        _, features = outputs(bare, activations, self.train_rows, self.accelerator, self._start(stage), self.seen.turns)
        labels = self.labels[self.train_rows]
        logits, familiarity = crossfit(features, labels, folds, bare.blocks, stage)
        return calibrate(logits, labels.numpy(), familiarity, by="cross-validation")

    def _outputs(
        self, stage: AnyStage, activations: Activations, rows: NDArray[np.int64], vote: bool
    ) -> tuple[Tensor, Tensor]:
        """Logits (N, C) and features (N, D) of some rows, after the parts that ``stage`` trains."""
        turns = self.seen.turns if vote else 1
        logits, features = outputs(self.network, activations, rows, self.accelerator, self._start(stage), turns)
        if not torch.isfinite(logits).all():
            raise TrainingError(
                f"Stage {stage.name} left weights that are no numbers. Lower the learning rate of the last stage that "
                f"has one, or clip its gradients (clip: 1)."
            )
        return logits, features

    def _start(self, stage: AnyStage) -> int:
        trained = stage if isinstance(stage, GradientStage) else self._last_trained()
        return first_part(self.network, trained.train_from if trained else "head")

    def _last_trained(self) -> GradientStage | None:
        """The last stage that trains by gradients, whose activations a closed form takes too."""
        trained = [stage for stage in self.experiment.stages if isinstance(stage, GradientStage)]
        return trained[-1] if trained else None

    def _activations(self, stage: AnyStage) -> Activations:
        """What enters the part that ``stage`` trains, computed now unless the same was for another stage.

        Where everything is trained each grid is there once, not in the quarter turns that vote.
        """
        start = self._start(stage)
        trained = stage if isinstance(stage, GradientStage) else self._last_trained()
        flip = trained is not None and trained.augment.flip and start > 0
        seen = self.seen if start else replace(self.seen, turns=1)
        accelerator = self.accelerator
        encode = encoder(self.network, start, accelerator) if start else None
        frozen = list(self.network.parts.values())[:start]
        contents = [tensor.cpu().numpy().tobytes() for part in frozen for tensor in part.state_dict().values()]
        identity = [f"{start} {flip} {accelerator.mixed_precision} {self.seen.to_json()['hash']}".encode(), *contents]
        path = self.out / RESUME / f"activations-{sha256(b''.join(identity))[:16]}.npy"
        with accelerator.main_process_first(), self.bar("activations" if start else "reading", "shapes") as progress:
            if path not in self.opened:  # else their hash was right in this sitting
                self.opened[path] = open_activations(path, self.artefacts, self.entries, seen, encode, flip, progress)
            return self.opened[path]

    def _record(self, stage: str, figures: Figures | None, **more: Any) -> dict[str, Any]:
        """One line of metrics.jsonl."""
        return {"stage": stage, **more, "validation": asdict(figures) if figures else None}

    def _save(self, state: State) -> None:
        if self.accelerator.is_main_process:
            save_state(self.out / RESUME, state)
            self._write(state)
        self.accelerator.wait_for_everyone()

    def _write(self, state: State) -> None:
        if self.accelerator.is_main_process:
            write_noted(self.out / METRICS, METRICS, _lines(state), self.out / RESUME)

    def _publish(self, done: Trained, origin: dict[str, Any], gallery: Gallery | None, state: State) -> None:
        if self.accelerator.is_main_process:
            summary = {**asdict(done), "run": None}
            del summary["calibration"]  # kept by itself
            files = run_bytes(
                self.experiment,
                self.network,
                self.division.classes,
                self.seen,
                _ids(self.division),
                {"folder": str(self.artefacts.folder), **origin, "training": summary},
                gallery,
                done.calibration,
                self.artefacts.settings.get("up"),
            )
            publish(self.out, {**files, METRICS: _lines(state)})
            discard(self.out / RESUME)
        self.accelerator.wait_for_everyone()
        self.accelerator.end_training()


def _told_by(out: Path) -> Trained:
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


def _lines(state: State) -> bytes:
    """The content of metrics.jsonl."""
    return "".join(json.dumps(record, allow_nan=False) + "\n" for record in state.records).encode()


def _ids(division: Division) -> dict[str, list[str]]:
    return {"train": [entry.id for entry in division.train], "val": [entry.id for entry in division.val]}


def _copy(network: ShapeNetwork) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()}
