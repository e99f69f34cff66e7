"""The files that a training leaves: weights, classes, input settings, config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from typing import TYPE_CHECKING, Any

from shapecnn import __version__
from shapecnn.models.calibration import Calibration
from shapecnn.models.gallery import Gallery
from shapecnn.models.input import Input
from shapecnn.settings.artefacts import Up
from shapecnn.settings.experiment import Experiment
from shapecnn.settings.yaml_core import write_yaml
from shapecnn.storage.reading import json_bytes

if TYPE_CHECKING:
    from torch import Tensor

    from shapecnn.networks.network import ShapeNetwork
from shapecnn.models.head import GALLERY, WEIGHTS
from shapecnn.models.run import CONFIG, FORMAT, MODEL, SPLIT


def run_bytes(
    experiment: Experiment,
    network: ShapeNetwork,
    classes: Sequence[str],
    seen: Input,
    ids: Mapping[str, Sequence[str]],
    data: Mapping[str, Any],
    gallery: Gallery | None = None,
    calibration: Calibration | None = None,
    up: Up | None = None,
) -> dict[str, bytes]:
    """The files of a finished run, to be published together.

    ids: of train and val.  data: what it was trained on, for people and for reports.  up: which axis was up in the
    meshes; None: not known.
    """
    from safetensors.torch import save

    state: dict[str, Tensor] = {key: value.contiguous().cpu() for key, value in network.state_dict().items()}
    files = {WEIGHTS: save(state), SPLIT: json_bytes({name: list(ids[name]) for name in ("train", "val")})}
    if gallery is not None:
        files[GALLERY] = gallery.to_bytes()
    described = {
        "schema_version": FORMAT,
        "network": experiment.network.model_dump(mode="json"),
        "classes": list(classes),
        "input": seen.to_json(),
        "up": up,
        "feature_size": network.feature_size,
        "discriminant": network.discriminant is not None,
        "parameters": network.parameter_count,
        "data": dict(data),
        "calibration": asdict(calibration) if calibration else None,
        "config": experiment.digest(),
        "versions": {"shapecnn": __version__, **{name: metadata.version(name) for name in ("torch", "timm")}},
    }
    return {**files, CONFIG: config_bytes(experiment), MODEL: json_bytes(described)}


def config_bytes(experiment: Experiment) -> bytes:
    """The experiment as YAML with every key, as it was resolved."""
    return write_yaml(experiment.model_dump(mode="json")).encode()
