"""What a model says of mesh files, each drawn or filled for it here and now."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from shapecnn.errors import ItemError
from shapecnn.models.engine import Device, Engine, open_engine, require_device
from shapecnn.models.features import Output
from shapecnn.models.mesh_looks import mesh_looks
from shapecnn.models.model import Model
from shapecnn.settings.core import NO_LIMIT, FaceLimit, Up
from shapecnn.workers.pool import ONE_A_CORE, Workers


def mesh_outputs(
    model: Model,
    paths: Sequence[str],
    *,
    up: Up,
    device: Device = "auto",
    views: bool = False,
    limit: FaceLimit = NO_LIMIT,
    workers: Workers = ONE_A_CORE,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> list[Output | ItemError]:
    """An output for each mesh file, read with ``up``, in the order given; of one that cannot be used, the error.

    Workers draw or fill the next ones while the engine computes; pictures and grids are held only until then. Raises
    UsageError if CUDA is asked for and absent, StoredDataError if the model is damaged, WeightsError if its weights
    cannot be had.
    """
    require_device(device)
    engine: Engine | None = None
    found: dict[int, Output | ItemError] = {}
    seen = mesh_looks(model.input, paths, up=up, limit=limit, workers=workers, progress=progress)
    for number, looks in seen:
        if isinstance(looks, ItemError):
            found[number] = looks
            continue
        engine = engine or open_engine(model, device, views=views)
        engine.start(number, looks)
        found.update(engine.finished())
    if engine is not None:
        engine.wait()
        found.update(engine.finished())
    return [found[number] for number in range(len(paths))]
