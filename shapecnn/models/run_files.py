"""Build the contents of all files of a finished run: weights, gallery, split, settings and ``model.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from typing import TYPE_CHECKING, Any

from shapecnn import __version__
from shapecnn.models.calibration import Calibration
from shapecnn.models.gallery import Gallery
from shapecnn.models.head import GALLERY, WEIGHTS
from shapecnn.models.input import Input
from shapecnn.models.run import CONFIG, FORMAT, MODEL, SPLIT
from shapecnn.settings.base import COMPLETE
from shapecnn.settings.experiment import Experiment
from shapecnn.settings.views_and_grids import Up
from shapecnn.settings.yaml_reader import write_yaml
from shapecnn.storage.reading import json_bytes

if TYPE_CHECKING:
    from torch import Tensor

    from shapecnn.networks.network import ShapeNetwork


def run_bytes(
    experiment: Experiment,
    network: ShapeNetwork,
    classes: Sequence[str],
    network_input: Input,
    split: Mapping[str, Any],
    data: Mapping[str, Any],
    gallery: Gallery | None = None,
    calibration: Calibration | None = None,
    up: Up | None = None,
) -> dict[str, bytes]:
    """Return the files of a finished run as a dictionary from file name to content.

    Args:
        experiment: Settings of the training.
        network: Trained network.
        classes: Class names, in the order of the scores; empty for a network that predicts a quantity.
        network_input: Kind and settings of the views or grids that the network expects.
        split: Content of ``split.json``: ids of the training shapes (key ``train``) and of the validation shapes (key
            ``val``), and which shapes were kept together (key ``groups``, optional).
        data: Description of the training data, which reports show.
        gallery: Features of the training shapes, which predictions compare new shapes with; None to store no gallery.
        calibration: Calibration of the scores; None if it was not measured.
        up: Axis that pointed up in the training meshes; None if unknown.
    """
    from safetensors.torch import save

    state: dict[str, Tensor] = {key: value.contiguous().cpu() for key, value in network.state_dict().items()}
    files = {WEIGHTS: save(state), SPLIT: json_bytes(split)}
    if gallery is not None:
        files[GALLERY] = gallery.to_bytes()
    described = {
        "schema_version": FORMAT,
        "network": experiment.network.model_dump(mode="json"),
        "target": experiment.target,
        "classes": list(classes),
        "one_vs_rest": experiment.one_vs_rest,
        "input": network_input.to_json(),
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
    """Return the settings of a training as YAML with all keys, including defaults.

    Args:
        experiment: Settings of the training.
    """
    return write_yaml(experiment.model_dump(mode="json", context=COMPLETE)).encode()
