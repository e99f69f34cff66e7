"""Prepare views and grids, train all networks of the ladder, and measure all rungs on the same test shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from shapecnn.artefacts.prepare import Recipe, prepare_collection
from shapecnn.artefacts.reading import Artefacts, open_artefacts
from shapecnn.errors import MismatchError, StoredDataError, TrainingError, UsageError, WeightsError, counted
from shapecnn.evaluation.compare import compare_contenders
from shapecnn.evaluation.compare_results import Comparison
from shapecnn.evaluation.contenders import Contender
from shapecnn.evaluation.settings import TEST_SPLIT
from shapecnn.filters.results import LearnedFilters
from shapecnn.ladder.inputs import InputName, input_settings
from shapecnn.ladder.rung_filters import rung_filters
from shapecnn.ladder.rungs import Rung
from shapecnn.ladder.trainings import REPLACE, Training, changes_of, require_same, train
from shapecnn.models.device import Device, require_device
from shapecnn.models.model import Model, resolve_model
from shapecnn.models.run import Run, open_run
from shapecnn.settings.experiment import load_experiment
from shapecnn.settings.views_and_grids import Up
from shapecnn.shared.results import Displayed, text_table
from shapecnn.training.metric import learn_metric
from shapecnn.training.plan import is_finished
from shapecnn.training.result import TrainingResult
from shapecnn.workers.pool import ONE_PER_CORE, Workers
from shapecnn.workers.progress import ProgressBar, no_bar

_NAMED = 5  # number of meshes that could not be used, which are named for each kind of input


@dataclass(frozen=True, slots=True, repr=False)
class Ladder(Displayed):
    """Results of all rungs. They print as a table; a notebook shows a page that explains each rung.

    Attributes:
        rungs: The rungs, in the order of the ladder.
        comparison: Results of the rungs on the same test shapes, in the same order.
        trainings: Result of the training of each network, by its name.
        filters: Some filters of each network that has filters of its own to show, by its name.
        failed: Why a rung could not be trained, in one sentence or more, by its name; such rungs are not in ``rungs``.
        folder: Folder with the views and grids, and with the trained networks.
    """

    rungs: tuple[Rung, ...]
    comparison: Comparison
    trainings: Mapping[str, TrainingResult]
    filters: Mapping[str, LearnedFilters]
    failed: Mapping[str, str]
    folder: Path

    def __repr__(self) -> str:
        """Return the rows as a text table."""
        return text_table(self.rows())

    @property
    def figure_names(self) -> tuple[str, ...]:
        """Names of the results in tables: accuracy, mAP and NN; of unbalanced classes, first the means over classes."""
        return (*self.comparison.measured[0].evaluation.headline_names, "NN")

    def rows(self) -> list[dict[str, Any]]:
        """Return one row for each rung: its name, what it reads, its results, its size and its times."""
        return [
            {
                "rung": rung.name,
                "input": rung.input,
                **{name: one.figures[name].value for name in self.figure_names},
                "parameters": one.parameters,
                "training_seconds": self.trainings[rung.run].seconds if rung.run else None,
                "seconds_per_shape": one.seconds_per_shape,
            }
            for rung, one in zip(self.rungs, self.comparison.measured, strict=True)
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that ``shapecnn ladder --json`` prints."""
        rungs = [
            {
                "name": rung.name,
                "title": rung.title,
                "input": rung.input,
                "run": rung.run,
                "training_seconds": self.trainings[rung.run].seconds if rung.run else None,
            }
            for rung in self.rungs
        ]
        return {
            "schema_version": 1,
            "rungs": rungs,
            "failed": dict(self.failed),
            "comparison": self.comparison.to_json(),
        }


def climb(
    collection: Path,
    out: Path,
    rungs: Sequence[Rung],
    *,
    up: Up = "z",
    settings: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    device: Device = "auto",
    workers: Workers = ONE_PER_CORE,
    command: str = "shapecnn ladder --data COLLECTION --out DIR",
    bar: ProgressBar = no_bar,
    say: Callable[[str], None] = lambda _: None,
) -> Ladder:
    """Prepare, train and measure the rungs of the ladder; what an earlier call has prepared and trained is kept.

    Args:
        collection: Meshes with labels, and with the splits train and test.
        out: Folder for the views, the grids and the trained networks.
        rungs: Rungs to climb.
        up: Axis that points up in the meshes.
        settings: Values that replace settings of every training config that has them, by key.
        overwrite: Whether to replace views, grids and networks in ``out`` that were made with other settings, and files
            that shapecnn did not write.
        device: Device that the networks run on: ``auto``, ``cpu`` or ``cuda``.
        workers: Worker processes that read the meshes and draw or voxelize them.
        command: Command line that error messages suggest for making views and grids.
        bar: Function that opens a progress bar.
        say: Callback that receives each message as one line of text.

    Returns:
        The results of all rungs.

    Raises:
        UsageError: The collection has no training or no test shapes, or ``out`` contains other files.
        MismatchError: ``out`` contains results with other settings, and ``overwrite`` is False.
    """
    from shapecnn.networks.registry import fetch_weights  # here, because it imports torch

    require_device(device)
    names = list(dict.fromkeys(rung.run for rung in rungs if rung.run))
    changes = changes_of(names, settings or {})
    for name in names:
        # A wrong setting, other results and a failed download are reported now, before hours of work.
        experiment = load_experiment(f"ladder/{name}", changes[name])
        if not overwrite:
            require_same(experiment, out / "runs" / name)
        if not is_finished(out / "runs" / name):
            fetch_weights(experiment.network)
    folders = _prepare(collection, out, rungs, up, overwrite, workers, command, bar, say)
    artefacts = _on_common_shapes({name: open_artefacts(folder) for name, folder in folders.items()})
    trainings: dict[str, TrainingResult] = {}
    filters: dict[str, LearnedFilters] = {}
    failed: dict[str, str] = {}
    contenders: dict[Rung, Contender] = {}
    for number, rung in enumerate(rungs, start=1):
        say(f"Rung {number} of {len(rungs)}: {rung.title}")
        try:
            if rung.run is not None and rung.run not in trainings:
                training = Training(rung.run, folders[rung.input], out / "runs" / rung.run, changes[rung.run])
                trainings[rung.run] = train(training, device, overwrite, bar, say)
            model = _model(rung, artefacts[rung.input], out, device, bar)
            if isinstance(model, Run) and rung.filters and rung.run is not None and rung.run not in filters:
                learned = rung_filters(model, artefacts[rung.input], device, bar)
                filters |= {} if learned is None else {rung.run: learned}
        except MismatchError as error:
            raise MismatchError(f"{error} {REPLACE}") from None
        except (StoredDataError, TrainingError, UsageError, WeightsError) as error:
            if number == len(rungs) and not contenders:
                raise
            failed[rung.name] = str(error)
            say(f"{rung.title} failed; the other systems are measured without it. {error}")
            continue
        contenders[rung] = Contender(rung.title, model, rung.feature, artefacts[rung.input], 0)
    comparison = compare_contenders(list(contenders.values()), TEST_SPLIT, device=device, bar=bar)
    if all(one.figures["mAP"].value is None for one in comparison.measured):
        say("Retrieval was not measured: no class has two test shapes.")
    return Ladder(tuple(contenders), comparison, trainings, filters, failed, out)


def _prepare(
    collection: Path,
    out: Path,
    rungs: Sequence[Rung],
    up: Up,
    overwrite: bool,
    workers: Workers,
    command: str,
    bar: ProgressBar,
    say: Callable[[str], None],
) -> dict[InputName, Path]:
    """Draw and voxelize the meshes once for each kind of input; return the folder of each kind."""
    folders: dict[InputName, Path] = {}
    for name in dict.fromkeys(rung.input for rung in rungs):
        folders[name] = out / name
        with bar(f"Preparing {name}", "meshes") as progress:
            recipe = Recipe(input_settings(name, up))
            summary = prepare_collection(
                collection,
                out / name,
                recipe,
                command=command,
                overwrite=overwrite,
                workers=workers,
                progress=progress,
            )
        for path, error in summary.failures[:_NAMED]:
            say(f"Failed: {path}: {error}")
        if summary.failed:
            say(f"{counted(summary.failed, 'mesh', 'meshes')} could not be used for {name}.")
    return folders


def _on_common_shapes(artefacts: Mapping[InputName, Artefacts]) -> dict[InputName, Artefacts]:
    """Restrict the test split of all folders to the shapes that all folders have.

    Raises:
        UsageError: There are no training shapes, or no test shapes that all folders have.
    """
    ids = [{entry.id for entry in each.select("test")} for each in artefacts.values()]
    common = set.intersection(*ids)
    fewest = min(artefacts.values(), key=lambda each: min(len(each.select("train")), len(each.select("test"))))
    train, test = len(fewest.select("train")), len(fewest.select("test"))
    if not train or not common:
        shared = "" if common or not test else ", and none of the test shapes is in all folders"
        raise UsageError(
            f"The ladder needs meshes in the splits train and test, but {fewest.folder} has {train} and "
            f"{test}{shared}. Splits are set by the second level of folders, as in "
            f"chair/train/1.off, or by a column of a CSV."
        )

    def kept(each: Artefacts) -> Artefacts:
        return replace(each, entries=tuple(e for e in each.entries if e.split != "test" or e.id in common))

    return {name: kept(each) for name, each in artefacts.items()}


def _model(rung: Rung, artefacts: Artefacts, out: Path, device: Device, bar: ProgressBar) -> Model:
    """Open the model of a rung; first learn its metric, if the rung compares shapes by a metric."""
    if rung.model is not None:
        return resolve_model(rung.model)
    run = open_run(out / "runs" / str(rung.run))
    if rung.feature == "metric":
        with bar("Learning the metric", "shapes") as progress:
            learn_metric(run, artefacts, device=device, progress=progress)
    return run
