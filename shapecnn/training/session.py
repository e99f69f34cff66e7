"""One sitting of a training: its stages from where they stand, and what they lead to."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shapecnn.artefacts.reading import Artefacts
from shapecnn.errors import TrainingError
from shapecnn.models.calibration import Calibration
from shapecnn.models.classifiers import Classifier
from shapecnn.models.familiarity import Familiarity
from shapecnn.models.gallery import Gallery
from shapecnn.models.input import Input
from shapecnn.models.run import METRICS
from shapecnn.models.run_files import run_bytes
from shapecnn.networks.discriminant import analyse
from shapecnn.networks.network import ShapeNetwork
from shapecnn.settings.experiment import GradientStage, LdaStage
from shapecnn.storage.publishing import RESUME, discard, publish, write_noted
from shapecnn.storage.reading import sha256
from shapecnn.training.activations import Activations, encoder, open_activations
from shapecnn.training.calibration import FOLDS, calibrate
from shapecnn.training.crossfit import crossfit
from shapecnn.training.descent import Examples, descend, first_part, outputs
from shapecnn.training.plan import Plan
from shapecnn.training.requirements import AnyStage
from shapecnn.training.resume import State, save_state
from shapecnn.training.schedules import stalled
from shapecnn.training.splits import Division, folds_of
from shapecnn.training.validation import Figures, better, figures_of, told
from shapecnn.workers.progress import ProgressBar
from shapecnn.workers.progress import stage as doing

if TYPE_CHECKING:
    from accelerate import Accelerator

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


class Session:
    """Trains ``network``, and leaves the run in ``out``.

    plan: what is trained on what.  division: of its data.  seen: what the network sees of a shape.  bar, say: as
    :func:`shapecnn.training.trainer.train` has them.
    """

    def __init__(
        self,
        plan: Plan,
        artefacts: Artefacts,
        division: Division,
        seen: Input,
        out: Path,
        network: ShapeNetwork,
        accelerator: Accelerator,
        bar: ProgressBar,
        say: Callable[[str], None],
    ) -> None:
        self.plan, self.experiment = plan, plan.experiment
        self.artefacts, self.division, self.seen, self.out = artefacts, division, seen, out
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
        """All stages from where ``state`` stands, then the run.

        Args:
            state: How far earlier sittings came; kept up to date.
            origin: What decides the weights, to be kept in the run.

        Returns:
            What the training led to.

        Raises:
            TrainingError: A loss or weights became no numbers.
        """
        begun = time.monotonic() - state.seconds  # as if there had been one sitting
        if state.network is not None:
            self.network.load(state.network)
        self._write(state)
        for number, stage in enumerate(self.experiment.stages):
            if number < state.stage:
                continue
            activations = self._activations(stage)
            if isinstance(stage, GradientStage):
                self._descend(stage, activations, state, begun)
            else:
                self._discriminate(stage, activations)
                state.records.append(self._record(stage.name, self._validate(stage, activations)))
            state.stage, state.epoch, state.optimizer, state.kept, state.best = number + 1, 0, None, None, None
            state.network = _copy(self.network)
            state.seconds = time.monotonic() - begun
            self._save(state)
        last = self.experiment.stages[-1]
        activations = self._activations(last)
        with doing("Measuring what was trained"):
            gallery, calibration = self._trust(last, activations) if self.accelerator.is_main_process else (None, None)
            temperature = calibration.temperature if calibration else 1.0
            figures = self._validate(last, activations, vote=True, temperature=temperature)
        done = Trained(
            self.out,
            _epochs(state.records),
            state.best_epoch,
            figures,
            calibration,
            time.monotonic() - begun,
        )
        self._publish(done, origin, gallery, state)
        return done

    def _descend(self, stage: GradientStage, activations: Activations, state: State, begun: float) -> None:
        """One stage by epochs; leaves the network with the weights that are kept."""
        ours = state.records[len(state.records) - state.epoch :]
        earlier = _epochs(state.records) - len(ours)  # of other stages
        accuracies = [record["validation"]["accuracy"] for record in ours if record["validation"]]
        examples = Examples(activations, self.train_rows, self.labels)
        with self.bar(stage.name, "steps") as progress:
            epochs = descend(
                stage,
                self.network,
                examples,
                self.accelerator,
                [self.experiment.seed, state.stage],
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
                if figures is not None:
                    accuracies.append(figures.accuracy)
                record = self._record(
                    stage.name,
                    figures,
                    epoch=earlier + epoch.number + 1,
                    loss=epoch.loss,
                    learning_rate=epoch.learning_rate,
                    seconds=round(time.monotonic() - clock, 3),
                )
                state.records.append(record)
                state.epoch, state.optimizer, state.network = epoch.number + 1, epoch.optimizer, _copy(self.network)
                self._choose(state, record)
                state.seconds = time.monotonic() - begun
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

    def _choose(self, state: State, record: dict[str, Any]) -> None:
        """Keep the weights of the epoch that has this record, if they are the ones to be kept so far."""
        select = self.experiment.validation.select
        if select == "last" or better(record["validation"], state.best):
            state.best, state.best_epoch = record["validation"], record["epoch"]
            state.kept = state.network if select == "best" else None

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
        known = Familiarity(gallery, Classifier(state["classifier.weight"].numpy(), state["classifier.bias"].numpy()))
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

    def _data(self) -> dict[str, str | None]:
        """Where what it was trained on was, and how the training was asked for."""
        subset = str(self.plan.subset) if self.plan.subset else None
        return {"folder": str(self.plan.data), "subset": subset, "written": self.plan.written}

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
                self.division.ids(),
                {**self._data(), **origin, "training": summary},
                gallery,
                done.calibration,
                self.artefacts.settings.get("up"),
            )
            publish(self.out, {**files, METRICS: _lines(state)})
            discard(self.out / RESUME)
        self.accelerator.wait_for_everyone()
        self.accelerator.end_training()


def _lines(state: State) -> bytes:
    """The content of metrics.jsonl."""
    return "".join(json.dumps(record, allow_nan=False) + "\n" for record in state.records).encode()


def _epochs(records: list[dict[str, Any]]) -> int:
    """How many lines of metrics.jsonl are of epochs."""
    return sum("epoch" in record for record in records)


def _copy(network: ShapeNetwork) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()}
