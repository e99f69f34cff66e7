"""Execute a training: run its stages, from the start or after an interruption, and publish the trained network."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from shapecnn.models.run import METRICS
from shapecnn.networks.discriminant import fit
from shapecnn.networks.network import ShapeNetwork, memory_layout
from shapecnn.settings.stages import GradientStage, LdaStage, LogisticStage, RbmStage
from shapecnn.storage.unfinished import RESUME, write_recorded
from shapecnn.training.activations import Activations
from shapecnn.training.data import Scale, TrainingData
from shapecnn.training.descent import Descent, Epoch
from shapecnn.training.diagnosis import Advisor
from shapecnn.training.examples import Examples
from shapecnn.training.logistic import fit_logistic
from shapecnn.training.losses import guessing_loss
from shapecnn.training.measurement import Measurement
from shapecnn.training.pretraining import pretrain
from shapecnn.training.processes import from_first
from shapecnn.training.publication import publish_run
from shapecnn.training.records import Record, count_epochs, make_record, metrics_bytes
from shapecnn.training.result import Figures, TrainingResult, stored_figures
from shapecnn.training.resume import Saving, State
from shapecnn.training.schedules import stalled
from shapecnn.training.stage_activations import StageActivations
from shapecnn.training.validation import describe_figures, is_better
from shapecnn.workers.progress import ProgressBar
from shapecnn.workers.progress import stage as progress_stage

if TYPE_CHECKING:
    from accelerate import Accelerator


class Session:
    """Training session: trains a network in all stages of an experiment, and publishes the trained network.

    Args:
        data: Shapes, artefacts (views or grids) and settings.
        network: The network with its initial weights.
        accelerator: Accelerate object with device, precision and processes.
        out: Folder of the run.
        bar: Progress bar of each stage.
        say: Callback with a message after each epoch.
    """

    def __init__(
        self,
        data: TrainingData,
        network: ShapeNetwork,
        accelerator: Accelerator,
        out: Path,
        bar: ProgressBar,
        say: Callable[[str], None],
    ) -> None:
        self.data, self.accelerator, self.out, self.bar, self.say = data, accelerator, out, bar, say
        self.network = network.to(accelerator.device).to(memory_format=memory_layout(data.input.kind))
        self.activations = StageActivations(data, self.network, accelerator, out, bar)
        self.measurement = Measurement(data, self.network, accelerator)
        self._saving = Saving(out / RESUME)

    def run(self, state: State, origin: dict[str, Any]) -> TrainingResult:
        """Train all unfinished stages, then publish the trained network as a run.

        Args:
            state: State of the training before it was interrupted, or an empty state. It is updated after every epoch.
            origin: Hashes of config and data, to be stored in the run.

        Returns:
            Validation results and calibration of the run.

        Raises:
            TrainingError: The loss or a weight became infinite or NaN.
        """
        start = time.monotonic() - state.seconds  # include the time before an interruption
        if state.network is not None:
            self.network.load(state.network)
        self._write_metrics(state)
        for number, stage in enumerate(self.data.experiment.stages):
            if number < state.stage:
                continue
            activations = self.activations.open(stage)
            match stage:
                case GradientStage():
                    self._descend(stage, activations, state, start)
                case LdaStage():
                    self._discriminate(stage, activations)
                    state.records.append(make_record(stage.name, self.measurement.validate(stage, activations)))
                case LogisticStage():
                    self._regress(stage, activations, state)
                case RbmStage():
                    self._pretrain(stage, activations, state)
            state.stage, state.epoch, state.optimizer, state.kept, state.best = number + 1, 0, None, None, None
            state.network = _copy_weights(self.network)
            state.seconds = time.monotonic() - start
            self._save(state, always=True)
        return self._finish(state, origin, start)

    def _descend(self, stage: GradientStage, activations: Activations, state: State, start: float) -> None:
        """Train the epochs of a gradient-descent stage, then load the weights of the selected epoch."""
        records = state.records[len(state.records) - state.epoch :]  # records of this stage
        previous = count_epochs(state.records) - len(records)  # number of epochs of earlier stages
        qualities = [stored_figures(record["validation"]).quality for record in records if record["validation"]]
        losses = [record["loss"] for record in records]
        examples = Examples(activations, self.data.train_rows, self.data.targets)
        seed = [self.data.experiment.seed, state.stage]
        with self.bar(f"Training stage {stage.name}", "steps") as progress:
            descent = Descent(stage, self.network, examples, self.accelerator, seed)
            if state.optimizer is not None:
                descent.load_optimizer(state.optimizer)
            advisor = self._advisor(stage, records)
            for number in range(state.epoch, stage.epochs):
                if stage.early_stopping and stalled(qualities) >= stage.early_stopping:
                    break
                clock = time.monotonic()
                epoch = descent.train_epoch(number, qualities, losses, progress)
                losses.append(epoch.loss)
                figures = self.measurement.validate(stage, activations)
                if figures is not None:
                    qualities.append(figures.quality)
                record = make_record(
                    stage.name,
                    figures,
                    epoch=previous + number + 1,
                    loss=epoch.loss,
                    learning_rate=epoch.learning_rate,
                    seconds=round(time.monotonic() - clock, 3),
                    layers=[asdict(layer) for layer in epoch.layers],
                )
                state.records.append(record)
                state.epoch, state.optimizer, state.network = number + 1, epoch.optimizer, _copy_weights(self.network)
                self._select(state, record)
                state.seconds = time.monotonic() - start
                self._save(state)
                self._report(f"{stage.name}, epoch {number + 1} of {stage.epochs}", epoch, record, figures)
                for sentence in advisor.hear(record):
                    self.say(f"{stage.name}: {sentence}")
        if state.kept is not None:
            self.network.load(state.kept)

    def _advisor(self, stage: GradientStage, records: Sequence[Record]) -> Advisor:
        """Return the advisor of a stage, who knows the records of the epochs before an interruption."""
        targets, classes = self.data.targets.numpy()[self.data.train_rows], self.data.division.classes
        if stage.loss == "squared":
            guessing = float(targets.var())
        else:
            guessing = guessing_loss(stage, np.bincount(targets, minlength=len(classes)))
        return Advisor(stage, self.data.experiment.network, guessing, records)

    def _report(self, title: str, epoch: Epoch, record: Record, figures: Figures | None) -> None:
        """Log the results of an epoch to TensorBoard, and show a message with the results."""
        values = {"loss": epoch.loss, "learning rate": epoch.learning_rate, **(record["validation"] or {})}
        layers = {
            f"{name}/{layer['layer']}": value
            for layer in record["layers"]
            for name, value in layer.items()
            if name != "layer" and value is not None
        }
        self.accelerator.log(values | layers, step=record["epoch"])
        self.say(f"{title}: loss {epoch.loss:.3f}{describe_figures(figures)} ({record['seconds']:.0f} s)")

    def _select(self, state: State, record: Record) -> None:
        """Select the weights of the latest epoch, if it is the best epoch of its stage or ``select`` is ``last``."""
        select = self.data.experiment.validation.select
        if select == "last" or is_better(record["validation"], state.best):
            state.best, state.best_epoch = record["validation"], record["epoch"]
            state.kept = state.network if select == "best" else None

    def _discriminate(self, stage: LdaStage, activations: Activations) -> None:
        """Run an LDA stage: fit discriminant space and classifier to the features of the training shapes."""
        if stage.profile:
            self.network.shorten()
        moments = self.measurement.moments(stage, activations)
        with progress_stage(f"Training stage {stage.name}"):
            space, directions = from_first(self.accelerator, lambda: fit(moments, shrinkage=stage.shrinkage))
        self.network.discriminate(space, stage.scale * directions)

    def _pretrain(self, stage: RbmStage, activations: Activations, state: State) -> None:
        """Run a pre-training stage: train each layer as an RBM. An interrupted stage starts again."""
        seed = [self.data.experiment.seed, state.stage]
        rows, val_rows = self.data.train_rows, self.data.val_rows
        with self.bar(f"Training stage {stage.name}", "steps") as progress:
            epochs = pretrain(
                stage, self.network, activations, rows, val_rows, self.accelerator, seed, progress, self.say
            )
        for each in epochs:
            values = asdict(each)
            values["layer_epoch"] = values.pop("epoch")  # an epoch of one layer is not an epoch of the network
            state.records.append(make_record(stage.name, None, **values))

    def _regress(self, stage: LogisticStage, activations: Activations, state: State) -> None:
        """Run a logistic-regression stage: fit the classifier to the features of the training shapes."""
        rows = self.data.train_rows
        _, features = self.measurement.outputs(stage, activations, rows, vote=True)
        labels, classes = self.data.labels[rows], len(self.data.division.classes)
        with progress_stage(f"Training stage {stage.name}"):
            fitted = from_first(self.accelerator, lambda: fit_logistic(features, labels, classes, stage))
        self.network.classify(fitted.weight, fitted.bias)
        figures = self.measurement.validate(stage, activations)
        values = {"objective": fitted.objective, "iterations": fitted.iterations, "converged": fitted.converged}
        state.records.append(make_record(stage.name, figures, **values))
        self.say(f"{stage.name}: {fitted.message} Objective {fitted.objective:.4f}{describe_figures(figures)}")

    def _finish(self, state: State, origin: dict[str, Any], start: float) -> TrainingResult:
        """Compute gallery, calibration and validation results of the trained network, and publish the run."""
        stage = self.data.experiment.stages[-1]
        activations = self.activations.open(stage)
        gallery = calibration = None
        with progress_stage("Measuring the trained network"):
            if self.data.scale is None:
                gallery = self.measurement.gallery(stage, activations)
                calibration = self.measurement.calibration(stage, activations, gallery)
            temperature = calibration.temperature if calibration else 1.0
            figures = self.measurement.validate(stage, activations, vote=True, temperature=temperature)
        result = TrainingResult(
            self.out,
            count_epochs(state.records),
            state.best_epoch,
            figures,
            calibration,
            time.monotonic() - start,
            self.data.experiment.target,
        )
        self.accelerator.wait_for_everyone()  # others may still read what is removed when the run is published
        if self.accelerator.is_main_process:
            if self.data.scale is not None:
                self._unstandardize(self.data.scale)
            publish_run(self.data, self.network, result, origin, gallery, state.records)
        self.accelerator.wait_for_everyone()
        self.accelerator.end_training()
        return result

    def _unstandardize(self, scale: Scale) -> None:
        """Change the last layer so that its output is the quantity itself, not the standardized quantity."""
        last = self.network.classifier
        assert last is not None
        weight, bias = (parameter.detach().double() for parameter in (last.weight, last.bias))
        self.network.classify(weight * scale.deviation, bias * scale.deviation + scale.mean)

    def _save(self, state: State, *, always: bool = False) -> None:
        """Save the state and the log of the training. Only the main process writes; the other processes wait."""
        if self.accelerator.is_main_process:
            self._saving.save(state, always=always)
            self._write_metrics(state)
        self.accelerator.wait_for_everyone()

    def _write_metrics(self, state: State) -> None:
        """Write the training log ``metrics.jsonl``. Only the main process writes."""
        if self.accelerator.is_main_process:
            write_recorded(self.out / METRICS, METRICS, metrics_bytes(state.records), self.out / RESUME)


def _copy_weights(network: ShapeNetwork) -> dict[str, Tensor]:
    """Return a copy of all weights and buffers of a network, on the CPU, by name."""
    return {name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()}
