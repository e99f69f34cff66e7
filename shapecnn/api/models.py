"""Models opened once and applied to meshes."""

from __future__ import annotations

from typing import Any

from shapecnn.models.engine import Device
from shapecnn.models.model import Model, resolve_model
from shapecnn.predict import Predictor
from shapecnn.workers.pool import ONE_A_CORE, Workers

ModelSource = str | Predictor | Model
"""A model by its name (the folder of a run, or ``@imagenet``), or one that is open."""


def open_model(
    name: str, settings: dict[str, Any] | None = None, *, device: Device = "auto", workers: Workers = ONE_A_CORE
) -> Predictor:
    """Open a trained run, or ``@imagenet``, to apply it to meshes.

    Args:
        name: Folder of a run, or ``@imagenet``, a network trained on photographs that needs no training on shapes.
        settings: Settings of ``@imagenet`` to change, by key; a run takes none.
        device: Where the network runs: ``auto``, ``cpu`` or ``cuda``.
        workers: Processes that read, draw and fill meshes.

    Returns:
        The model. It loads its network with the first mesh and keeps it.

    Raises:
        UsageError: There is no such model, or it does not take the settings.
        StoredDataError: The run is damaged.

    Example:
        >>> import shapecnn
        >>> model = shapecnn.open_model("run")
        >>> model.classes
        ('box', 'cylinder', 'round')
        >>> model.predict("meshes/box/train/0.off")[0].label
        'box'
    """
    return Predictor(resolve_model(name, settings), device, workers)


def model_of(source: ModelSource, settings: dict[str, Any] | None = None) -> Model:
    """Return the model that a name or an open model stands for.

    Args:
        source: Name of a model, or one that is open.
        settings: Settings of ``@imagenet``, by key.
    """
    if isinstance(source, str):
        return resolve_model(source, settings)
    return source.model if isinstance(source, Predictor) else source
