"""A run on disk: weights, classes and what the network sees. Nothing that runs code is loaded.

``model.json`` and ``model.safetensors`` are published together, the former with hashes of both.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from shapecnn import __version__
from shapecnn.artefacts import Entry
from shapecnn.calibration import Calibration
from shapecnn.classifiers import Classifier
from shapecnn.config import settings_hash
from shapecnn.datasets import Artefacts
from shapecnn.errors import StoredDataError, UsageError
from shapecnn.experiment import Experiment, NetworkSettings
from shapecnn.features import Feature, Output
from shapecnn.gallery import Gallery
from shapecnn.inputs import Input
from shapecnn.projection import Projection, learn_command, read_metric
from shapecnn.retrieval.space import FeatureSpace
from shapecnn.storage import json_bytes, published, read_json, sha256
from shapecnn.vectors import unit

if TYPE_CHECKING:
    from torch import Tensor

    from shapecnn.networks.network import ShapeNetwork

FORMAT = 1
WEIGHTS, MODEL, CONFIG, SPLIT, METRICS = "model.safetensors", "model.json", "config.yaml", "split.json", "metrics.jsonl"
GALLERY = "gallery.safetensors"  # absent from runs made before it was kept
RESUME = "resume"  # what an unfinished training needs to go on; only ``train --resume`` opens it


@dataclass(frozen=True, slots=True)
class Run:
    """A trained network, opened but not yet loaded; a :class:`shapecnn.models.Model`.

    held_out: ids of its train and val.  weights: SHA-256 of the weights' file.  projection: what its features are
    compared by; None: they are compared as they are.  shapes: SHA-256 of the gallery's file, None for a run made before
    there was one; calibration likewise, and where too few shapes were held out.  discriminant: whether its features are
    coordinates in a discriminant space.
    """

    folder: Path
    network: NetworkSettings
    classes: tuple[str, ...]
    input: Input
    held_out: Mapping[Literal["train", "val"], frozenset[str]]
    weights: str
    projection: Projection | None = None
    calibration: Calibration | None = None
    shapes: str | None = None
    discriminant: bool = False

    @property
    def name(self) -> str:
        """Its folder, as given."""
        return str(self.folder)

    @property
    def identity(self) -> str:
        """That of its weights, and of the network they are in."""
        return f"{self.weights} {self.network.digest()} {len(self.classes)} {self.input.side}"

    def to_json(self) -> dict[str, Any]:
        """All that decides its features, with a ``hash`` of it."""
        described = {
            "kind": "run",
            "weights": self.weights,
            "network": self.network.model_dump(mode="json"),
            "input": self.input.to_json(),
        }
        if self.projection is not None:
            described["metric"] = self.projection.digest
        return {**described, "hash": settings_hash(described)}

    @property
    def compared(self) -> str:
        """The feature by which its shapes are compared: ``penultimate`` or ``metric``."""
        return "penultimate" if self.projection is None else "metric"

    def represent(self, output: Output) -> Feature:
        """The feature of unit length by which one shape is compared with others."""
        return unit(output.feature) if self.projection is None else self.projection(output.feature)

    def space(self, features: NDArray[np.float32]) -> FeatureSpace:
        """That of the features: what makes them comparable was learned."""
        return FeatureSpace(features)

    def comparing(self, feature: str) -> Run:
        """The same run with its shapes compared by ``penultimate`` or ``metric``.

        Raises UsageError if it has no metric, MismatchError or StoredDataError if that cannot be used.
        """
        if feature == "penultimate":
            return replace(self, projection=None)
        projection = self.metric()
        if projection is None:
            raise UsageError(f"{self.folder} has no learned metric. To learn it: {learn_command(self.folder)}")
        return replace(self, projection=projection)

    def metric(self) -> Projection | None:
        """The learned metric kept in the run; None if none was learned.

        Raises StoredDataError if it is damaged, MismatchError if it was learned for other weights.
        """
        found = read_metric(self.folder, self.weights)
        return found and found[0]

    def split(self, artefacts: Artefacts, name: Literal["train", "val", "test"]) -> list[Entry]:
        """Train and val by the ids the run was trained and validated on, test as the data names it."""
        if name == "test":
            return artefacts.select("test")
        entries = [entry for entry in artefacts.entries if entry.id in self.held_out[name]]
        missing = len(self.held_out[name]) - len(entries)
        if missing:
            raise UsageError(
                f"{artefacts.folder} lacks {missing} of the {len(self.held_out[name])} shapes of {name} that "
                f"{self.folder} was trained with. Use the data it was trained on, or measure what does not need them: "
                f"--split test by another protocol than train-gallery, without --exclude-duplicates."
            )
        return entries

    def classifier(self) -> Classifier:
        """What turns features into logits.  Raises StoredDataError if damaged."""
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            state = load(_checked(self.folder, WEIGHTS, self.weights))
            return Classifier(state["classifier.weight"], state["classifier.bias"])
        except (SafetensorError, KeyError) as error:
            raise _altered(self.folder, f"{WEIGHTS} holds no classifier ({error})") from None

    def gallery(self) -> Gallery | None:
        """The shapes it was trained on, as it sees them.  Raises StoredDataError if damaged."""
        from safetensors import SafetensorError

        if self.shapes is None:
            return None
        try:
            return Gallery.read(_checked(self.folder, GALLERY, self.shapes))
        except (SafetensorError, KeyError, ValueError) as error:
            raise _altered(self.folder, f"{GALLERY} holds no gallery ({error})") from None

    def build(self) -> ShapeNetwork:
        """The network with its weights, in float32, ready to infer.  Raises StoredDataError if they are damaged."""
        from safetensors import SafetensorError
        from safetensors.torch import load

        from shapecnn.networks.build import build_network

        content = _checked(self.folder, WEIGHTS, self.weights)
        untrained = {"weights": "none"} if self.network.kind == "mvcnn" else {}
        network = build_network(self.network.model_copy(update=untrained), self.input.side, len(self.classes))
        try:
            network.load(load(content))
        except (SafetensorError, RuntimeError, KeyError) as error:
            raise _altered(self.folder, f"{WEIGHTS} does not fit {MODEL}: {str(error).splitlines()[0]}") from None
        return network.eval()


def open_run(folder: Path) -> Run:
    """The run in ``folder``, its files checked against their hashes.

    Raises UsageError if there is none or it is unfinished, StoredDataError if it is damaged or of another version.
    """
    if not published(folder, MODEL).exists():
        if (folder / RESUME).exists():
            raise UsageError(
                f"The training in {folder} is unfinished. To go on: shapecnn train {shlex.quote(str(folder / CONFIG))} "
                f"--data DIR --out {shlex.quote(str(folder))} --resume"
            )
        out = shlex.quote(str(folder))
        raise UsageError(f"There is no run at {folder}. To train one: shapecnn train CONFIG --data DIR --out {out}")
    try:
        described = read_json(published(folder, MODEL))
    except StoredDataError:
        raise _altered(folder, f"{MODEL} cannot be read") from None
    if not isinstance(described, dict) or described.get("schema_version") != FORMAT:
        version = described.get("schema_version") if isinstance(described, dict) else None
        raise StoredDataError(
            f"{folder / MODEL} is of version {version!r}, and this shapecnn reads {FORMAT}. Use the shapecnn that made "
            f"it, or train the run again."
        )
    if described.pop("hash", None) != settings_hash(described):
        raise _altered(folder, f"the hash of {MODEL} is another")
    split = _checked(folder, SPLIT, described["files"][SPLIT])
    _checked(folder, WEIGHTS, described["files"][WEIGHTS])  # an engine converted earlier would never look at them
    ids = json.loads(split)
    try:
        network: NetworkSettings = TypeAdapter(NetworkSettings).validate_python(described["network"])
    except ValidationError as error:
        raise StoredDataError(
            f"{folder / MODEL} names a network that this shapecnn does not know ({error.errors()[0]['msg']}). Use the "
            f"shapecnn that made it: {described['versions']['shapecnn']}."
        ) from None
    return Run(
        folder,
        network,
        tuple(described["classes"]),
        Input.of(described["input"], getattr(network, "turns", 1)),
        {"train": frozenset(ids["train"]), "val": frozenset(ids["val"])},
        described["files"][WEIGHTS],
        calibration=Calibration(**described["calibration"]) if described.get("calibration") else None,
        shapes=described["files"].get(GALLERY),
        discriminant=described.get("discriminant", False),
    )


def run_bytes(
    experiment: Experiment,
    network: ShapeNetwork,
    classes: Sequence[str],
    seen: Input,
    ids: Mapping[str, Sequence[str]],
    data: Mapping[str, Any],
    gallery: Gallery | None = None,
    calibration: Calibration | None = None,
) -> dict[str, bytes]:
    """The files of a finished run, to be published together.

    ids: of train and val.  data: what it was trained on, for people and for reports.
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
        "feature_size": network.feature_size,
        "discriminant": network.discriminant is not None,
        "parameters": network.parameter_count,
        "data": dict(data),
        "calibration": asdict(calibration) if calibration else None,
        "config": experiment.digest(),
        "versions": {"shapecnn": __version__, **{name: metadata.version(name) for name in ("torch", "timm")}},
        "files": {name: sha256(content) for name, content in files.items()},
    }
    return {
        **files,
        CONFIG: config_bytes(experiment),
        MODEL: json_bytes({**described, "hash": settings_hash(described)}),
    }


def config_bytes(experiment: Experiment) -> bytes:
    """The experiment as YAML with every key, as it was resolved."""
    text: str = yaml.safe_dump(experiment.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    return text.encode()


def _checked(folder: Path, name: str, digest: str) -> bytes:
    try:
        content = published(folder, name).read_bytes()
    except OSError as error:
        raise StoredDataError(f"{folder / name} cannot be read ({error.strerror}). Train the run again.") from None
    if sha256(content) != digest:
        raise _altered(folder, f"the hash of {name} is another")
    return content


def _altered(folder: Path, what: str) -> StoredDataError:
    return StoredDataError(
        f"The run in {folder} is not what was written there ({what}). Copy it anew from its source, or train it again."
    )
