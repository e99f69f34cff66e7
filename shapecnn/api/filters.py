"""Show the learned filters of a network, and the shapes and places that excite them most."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from shapecnn.api.models import ModelSource, device_of, model_of
from shapecnn.artefacts.reading import Artefacts, open_artefacts
from shapecnn.errors import UsageError
from shapecnn.filters.results import LearnedFilters, Shapes
from shapecnn.models.device import Device
from shapecnn.models.model import Model
from shapecnn.models.run import Run
from shapecnn.shared.checks import require_path
from shapecnn.shared.results import framed, show_with
from shapecnn.training.plan import stored_plan
from shapecnn.workers.progress import Progress, no_progress


def learned_filters(
    model: ModelSource,
    data: str | Path | Artefacts | None = None,
    *,
    layers: str | Sequence[str] = (),
    split: Shapes = "train",
    top: int = 9,
    filters: int = 16,
    saliency: bool = True,
    device: Device | None = None,
    progress: Progress = no_progress,
) -> LearnedFilters:
    """Collect the filters of a network, and for each filter the shapes and places with the strongest activations.

    Args:
        model: Folder of a run, ``@imagenet``, or the result of :func:`open_model`.
        data: Folder of artefacts (rendered views or voxel grids) in which exciting places are looked for, or the result
            of :func:`open_artefacts`. None: the artefacts that the run was trained on.
        layers: Names of layers, such as ``conv1``; none for all convolutions. For a network without convolutions, none
            selects the layer that reads the pixels or cells.
        split: Shapes to look at: ``train``, ``val`` or ``test`` of the model, or ``all`` shapes of the data.
        top: Largest number of shapes for each filter.
        filters: Largest number of filters to collect of each layer: those with the strongest activations.
        saliency: Whether to compute which pixels or cells of its strongest place excite each filter.
        device: Device that the network runs on: ``auto``, ``cpu`` or ``cuda``; None for that of an open model.
        progress: Callback that receives the number of finished shapes and the number of all shapes.

    Returns:
        The filters of each layer. They print as a table; a notebook shows them with pictures.

    Raises:
        UsageError: The model has no filters or no layer of such a name, or there are no shapes in the split.
        MismatchError: The artefacts were made with other settings than the training data of the model.
        StoredDataError: The artefacts or the model are damaged.

    Example:
        >>> import shapecnn
        >>> learned = shapecnn.learned_filters("run", "views", layers=["first"], filters=2, top=1)
        >>> [(row["layer"], row["rank"]) for row in learned.rows()]
        [('first', 1), ('first', 1)]
    """
    from shapecnn.filters.learned import learned_filters as collect  # here, because it imports torch

    opened = model_of(model)
    if not isinstance(data, Artefacts):
        folder = _trained_on(opened) if data is None else require_path("data", data, "a folder of artefacts")
        data = open_artefacts(folder)
    return collect(
        opened,
        data,
        layers=[layers] if isinstance(layers, str) else layers,
        split=split,
        top=top,
        filters=filters,
        saliency=saliency,
        device=device_of(model, device),
        progress=progress,
    )


def _trained_on(model: Model) -> Path:
    """Return the folder of artefacts that a run was trained on."""
    if not isinstance(model, Run):
        raise UsageError(f"{model.name} was not trained on artefacts: name a folder of artefacts by --data.")
    plan = stored_plan(model.folder)
    if plan is None or plan.data == Path("None"):  # runs of early versions do not name the folder
        raise UsageError(f"{model.name} does not say which artefacts it was trained on: name a folder by --data.")
    if not plan.data.is_dir():
        raise UsageError(
            f"The artefacts that {model.name} was trained on are no longer at {plan.data}: name their folder, or "
            f"another one, by --data."
        )
    return plan.data


def _filters_html(learned: LearnedFilters) -> str:
    from shapecnn.report.filters import filters_page

    return framed(filters_page(learned))


show_with(LearnedFilters, _filters_html)
