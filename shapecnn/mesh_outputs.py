"""What a model says of mesh files, each drawn or filled here and now."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from shapecnn.config import NO_LIMIT, FaceLimit, Up
from shapecnn.errors import MeshError
from shapecnn.features import Output
from shapecnn.inference import Device, Engine, open_engine, require_device
from shapecnn.models import Model


def mesh_outputs(
    model: Model,
    paths: Sequence[str],
    *,
    up: Up,
    device: Device = "auto",
    views: bool = False,
    limit: FaceLimit = NO_LIMIT,
) -> list[Output | MeshError]:
    """An output for each mesh file, read with ``up``, in the order given; of one that cannot be used, the error.

    One file after the other is seen while the engine computes; pictures and grids are held only until then. Raises
    UsageError if CUDA is asked for and absent, StoredDataError if the model is damaged, WeightsError if its weights
    cannot be had.
    """
    require_device(device)
    engine: Engine | None = None
    found: dict[int, Output | MeshError] = {}
    for number, path in enumerate(paths):
        try:
            looks = model.input.load(Path(path), up, limit)
        except MeshError as error:
            found[number] = error
            continue
        engine = engine or open_engine(model, device, views=views)
        engine.start(number, looks)
        found.update(engine.finished())
    if engine is not None:
        engine.wait()
        found.update(engine.finished())
    return [found[number] for number in range(len(paths))]
