"""Open models and apply them to meshes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shapecnn.models.device import Device
from shapecnn.models.model import Model, resolve_model
from shapecnn.predict import Predictor
from shapecnn.shared.checks import require_path
from shapecnn.workers.pool import ONE_PER_CORE, Workers, as_workers

ModelSource = str | Path | Predictor | Model
"""Type of a model argument: a name (the folder of a run, or such as ``@imagenet``) or an open model."""


def open_model(
    name: str | Path,
    settings: dict[str, Any] | None = None,
    *,
    device: Device = "auto",
    workers: Workers | int = ONE_PER_CORE,
) -> Predictor:
    """Open a model, a trained run or one that needs no training, to apply it to meshes.

    Args:
        name: Folder of a run, or a model that needs no training: ``@imagenet``, a network trained on photographs, or
            the engineered descriptors ``@sph``, ``@lfd`` and ``@fisher``.
        settings: Values for settings of a model without training, by key; a run has no settings to change.
        device: Device that the network runs on: ``auto``, ``cpu`` or ``cuda``.
        workers: Number of worker processes that read the meshes and draw or voxelize them, or their limits as well.

    Returns:
        An object that classifies meshes. The network is loaded at the first mesh and stays in memory.

    Raises:
        UsageError: The model does not exist, or does not have one of the settings.
        StoredDataError: The run is damaged.

    Example:
        >>> import shapecnn
        >>> model = shapecnn.open_model("run")
        >>> model.classes
        ('box', 'cylinder', 'round')
        >>> model.predict("meshes/box/train/0.off")[0].label
        'box'
    """
    require_path("name", name, "the folder of a run, or a name such as @imagenet")
    return Predictor(resolve_model(str(name), settings), device, as_workers(workers))


def model_of(source: ModelSource) -> Model:
    """Return the model with a given name; an open model is returned as it is.

    Args:
        source: Folder of a run, a name such as ``@imagenet``, or an open model.
    """
    if isinstance(source, str | Path):
        return resolve_model(str(source))
    return source.model if isinstance(source, Predictor) else source


def device_of(source: ModelSource, device: Device | None) -> Device:
    """Return the device that a call asks for, else the device of an open model, else ``auto``.

    Args:
        source: Name of a model, or an open model.
        device: Device that the call asks for; None if it asks for none.
    """
    return device or (source.device if isinstance(source, Predictor) else "auto")
