"""Search the step size (learning rate) of gradient descent: try several, and choose the best by validation."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from pathlib import Path

from shapecnn.errors import TrainingError, UsageError
from shapecnn.models.device import Device, require_device
from shapecnn.models.run import open_run
from shapecnn.networks.network import ShapeNetwork, memory_layout
from shapecnn.settings.experiment import Experiment
from shapecnn.settings.stages import GradientStage
from shapecnn.training.acceleration import open_accelerator
from shapecnn.training.data import TrainingData
from shapecnn.training.descent import Descent
from shapecnn.training.examples import Examples
from shapecnn.training.measurement import Measurement
from shapecnn.training.plan import Plan
from shapecnn.training.result import Figures
from shapecnn.training.stage_activations import StageActivations
from shapecnn.training.step_results import StepSearch, StepTrial
from shapecnn.training.trainer import initial_network, open_data, train_plan
from shapecnn.training.validation import describe_figures
from shapecnn.workers.launch import process_count
from shapecnn.workers.progress import ProgressBar

FACTORS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
"""The learning rates that are tried, relative to the one in the config."""

EPOCHS = 3
"""Number of epochs for which each learning rate is tried, if the stage has as many."""


def search_step(
    plan: Plan,
    *,
    epochs: int | None = None,
    device: Device = "auto",
    bar: ProgressBar,
    say: Callable[[str], None] = lambda _: None,
) -> StepSearch:
    """Train the first gradient-descent stage of a plan with several learning rates, and compare them by validation.

    Each trial starts from the same weights, and draws the same batches. It equals a training whose stage has the
    learning rate and the number of epochs of the trial: a cosine schedule is compressed into these epochs, whereas
    ``step_epochs`` and ``patience`` stay as they are. Stages before the gradient-descent stage are trained once.
    Nothing is stored, except in a temporary folder during the search.

    Args:
        plan: The settings and the data folder of the training.
        epochs: Number of epochs of each trial. None: 3, or fewer if the stage is shorter.
        device: Device on which the network computes.
        bar: Progress bar of each trial.
        say: Callback with a message after each trial.

    Returns:
        The training loss and the validation results of each learning rate.

    Raises:
        UsageError: No stage uses gradient descent, no shapes are held out, the data is unsuitable, or torchrun has
            started several processes.
        WeightsError: The pretrained weights are not available.
        TrainingError: The training diverged with every learning rate.
    """
    if process_count() > 1:
        raise UsageError("--find-step runs in a single process: start it without torchrun or accelerate launch.")
    require_device(device)
    number, stage = _first_descent(plan.experiment)
    data = open_data(plan, fetch=True, say=say)
    if not len(data.val_rows):
        raise UsageError(
            "The best step is chosen by validation, but no shapes are held out. Hold out a fifth of them: "
            "--set validation.folds=5"
        )
    with tempfile.TemporaryDirectory(prefix="shapecnn-", ignore_cleanup_errors=True) as folder:
        network = initial_network(data)
        if number:
            network = _train_earlier(plan, number, Path(folder) / "earlier", device, bar, say)
        epochs = epochs or min(EPOCHS, stage.epochs)
        stage = stage.model_copy(update={"epochs": epochs, "early_stopping": None})
        trials = _Trials(data, network, number, stage, Path(folder), device, bar)
        results = []
        for factor in FACTORS:
            trial = trials.run(float(f"{stage.learning_rate * factor:.6g}"))  # as it is printed
            outcome = "diverged" if trial.loss is None else f"loss {trial.loss:.3f}{describe_figures(trial.validation)}"
            say(f"{stage.name}, learning rate {trial.learning_rate:g}: {outcome}")
            results.append(trial)
    if all(trial.validation is None for trial in results):
        raise TrainingError(
            f"Stage {stage.name} diverged with every learning rate from {results[0].learning_rate:g} to "
            f"{results[-1].learning_rate:g}. Search among smaller ones: "
            f"--set stages.{stage.name}.learning_rate={results[0].learning_rate / 100:g}"
        )
    return StepSearch(stage.name, epochs, tuple(results))


class _Trials:
    """Trains one stage again and again from the same initial weights, with the learning rates of :meth:`run`."""

    def __init__(
        self,
        data: TrainingData,
        network: ShapeNetwork,
        number: int,
        stage: GradientStage,
        folder: Path,
        device: Device,
        bar: ProgressBar,
    ) -> None:
        accelerator = open_accelerator(device, data.experiment.precision, None)
        self.stage, self.accelerator, self.bar = stage, accelerator, bar
        self.network = network.to(accelerator.device).to(memory_format=memory_layout(data.input.kind))
        self.initial = {name: tensor.detach().clone() for name, tensor in self.network.state_dict().items()}
        self.activations = StageActivations(data, self.network, accelerator, folder, bar).open(stage)
        self.measurement = Measurement(data, self.network, accelerator)
        self.examples = Examples(self.activations, data.train_rows, data.targets)
        self.seed = [data.experiment.seed, number]

    def run(self, learning_rate: float) -> StepTrial:
        """Train all epochs of the stage with a learning rate."""
        stage = self.stage.model_copy(update={"learning_rate": learning_rate})
        self.network.load(self.initial)
        losses: list[float] = []
        qualities: list[float] = []
        figures: Figures | None = None
        try:
            with self.bar(f"learning rate {learning_rate:g}", "steps") as progress:
                descent = Descent(stage, self.network, self.examples, self.accelerator, self.seed)
                for number in range(stage.epochs):
                    losses.append(descent.train_epoch(number, qualities, losses, progress).loss)
                    figures = self.measurement.validate(stage, self.activations)
                    qualities += [figures.quality] if figures else []
        except TrainingError:
            return StepTrial(learning_rate, None, None)
        if figures is None or not math.isfinite(figures.loss):  # finite scores may differ by more than floats can hold
            return StepTrial(learning_rate, None, None)
        return StepTrial(learning_rate, losses[-1], figures)


def _first_descent(experiment: Experiment) -> tuple[int, GradientStage]:
    """Return the number, from 0, and the settings of the first stage of gradient descent."""
    for number, stage in enumerate(experiment.stages):
        if isinstance(stage, GradientStage):
            return number, stage
    raise UsageError("The config has no stage of kind gradient, which is the only kind with a step size to find.")


def _train_earlier(
    plan: Plan, count: int, out: Path, device: Device, bar: ProgressBar, say: Callable[[str], None]
) -> ShapeNetwork:
    """Train the first ``count`` stages of a plan, and return the network from which the next stage starts."""
    experiment = plan.experiment.model_copy(update={"stages": plan.experiment.stages[:count]})
    train_plan(Plan(experiment, plan.data, plan.subset), out, device=device, bar=bar, say=say)
    return open_run(out).network.build()
