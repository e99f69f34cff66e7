"""Artefacts that were never meshes: classes that are easily told, from bars and blocks drawn into arrays."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapecnn.artefacts.manifest import MANIFEST, SETTINGS, Entry
from shapecnn.artefacts.prepare import Recipe, encode_png
from shapecnn.settings.experiment import Experiment
from shapecnn.settings.networks import MvcnnSettings, VoxresnetSettings
from shapecnn.settings.views_and_grids import ViewSettings, VoxelSettings
from shapecnn.storage.atomic import write_atomic
from shapecnn.storage.publishing import publish
from shapecnn.storage.reading import json_bytes, sha256
from shapecnn.storage.tables import table_bytes
from shapecnn.training.plan import Plan
from shapecnn.training.result import TrainingResult
from shapecnn.training.trainer import train_plan
from shapecnn.views import contact_sheet
from shapecnn.voxels import binvox

VIEWS = ViewSettings(size=32)
VOXELS = VoxelSettings(resolution=22, padding=1)
MVCNN = MvcnnSettings(backbone="test_efficientnet", weights="none")
VOXRESNET = VoxresnetSettings(width=4, dropout=0.0)
EXTENTS = {"bar": (4, 4, 16), "block": (12, 12, 12), "slab": (16, 16, 3)}


def grid(label: str, k: int) -> NDArray[np.bool_]:
    """(1, 22, 22, 22): the box of its class, a cell larger or smaller, somewhere."""
    random = np.random.default_rng([zlib.crc32(label.encode()), k])
    extents = np.array(EXTENTS[label]) + random.integers(-1, 2, 3)
    start = random.integers(1, 22 - extents)
    filled = np.zeros((1, 22, 22, 22), bool)
    filled[(0, *(slice(a, a + n) for a, n in zip(start, extents, strict=True)))] = True
    return filled


def pictures(label: str, k: int) -> NDArray[np.uint8]:
    """(12, 32, 32): the front of its box, in another grey and place in each view."""
    random = np.random.default_rng([zlib.crc32(label.encode()), k])
    _, width, height = EXTENTS[label]
    views = np.full((12, 32, 32), 255, np.uint8)
    for view in views:
        x, y = random.integers(1, 32 - width), random.integers(1, 32 - height)
        view[y : y + height, x : x + width] = random.integers(20, 160)
    return views


def write_artefacts(out: Path, settings: ViewSettings | VoxelSettings, shapes: Mapping[str, NDArray[Any]]) -> Path:
    """The artefacts of ``shapes``: what is seen of each, by id ``label/split/name.off``, ``label/name.off`` or
    ``name.off``."""
    entries, made = [], {}
    for shape, array in shapes.items():
        label, split = ([*shape.split("/")[:-1], None, None])[:2]
        stem = out / shape.removesuffix(".off")
        views = isinstance(settings, ViewSettings)
        path = stem.with_suffix(".png" if views else ".binvox")
        content = encode_png(contact_sheet(array)) if views else binvox.write(array[0])
        write_atomic(path, content)
        made[str(path.relative_to(out))] = sha256(content)
        entries.append(Entry(shape, label, split, sha256(shape.encode()), "ok", None))
    table = table_bytes(Entry, sorted(entries, key=lambda entry: entry.id))
    publish(out, {MANIFEST: table, SETTINGS: json_bytes(Recipe(settings).to_json())}, made)
    return out


def collection(draw: Callable[[str, int], NDArray[Any]], *, train: int = 5, test: int = 2) -> dict[str, NDArray[Any]]:
    """Shapes of all classes in splits train and test, by id."""
    return {
        f"{label}/{'train' if k < train else 'test'}/{k:02d}.off": draw(label, k)
        for label in EXTENTS
        for k in range(train + test)
    }


def stage(name: str = "all", **values: Any) -> dict[str, Any]:
    """A short stage that trains by gradients."""
    return {"kind": "gradient", "name": name, "epochs": 2, "batch": 4, "learning_rate": 1e-3, **values}


def experiment(*stages: dict[str, Any], **values: Any) -> Experiment:
    """One of the small multi-view network unless told otherwise, in float32."""
    return Experiment.model_validate({"network": MVCNN, "precision": "float32", "stages": stages, **values})


class Interrupted(BaseException):
    """As if the person had pressed Ctrl-C."""


class Witness:
    """Sees every moment at which a training tells how it goes on, and interrupts it when ``until`` says so of them."""

    def __init__(self, until: Callable[[list[str]], bool] = lambda _: False) -> None:
        self.moments: list[str] = []
        self.until = until

    def _moment(self, what: str) -> None:
        self.moments.append(what)
        if self.until(self.moments):
            raise Interrupted

    @contextmanager
    def bar(self, what: str, _unit: str) -> Iterator[Callable[[int, int | None], None]]:
        self._moment(f"{what} begins")
        yield lambda done, total: self._moment(f"{what} {done}/{total}")

    def say(self, message: str) -> None:
        self._moment(message)


def run(
    experiment: Experiment, data: Path, out: Path, witness: Witness | None = None, **options: Any
) -> TrainingResult:
    return run_plan(Plan(experiment, data, options.pop("subset", None)), out, witness, **options)


def run_plan(plan: Plan, out: Path, witness: Witness | None = None, **options: Any) -> TrainingResult:
    witness = witness or Witness()
    return train_plan(plan, out, bar=witness.bar, say=witness.say, **{"device": "cpu", **options})
