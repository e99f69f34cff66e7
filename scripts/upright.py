"""Fit the scorer of upright poses, shapecnn/networks/upright.safetensors, to generated shapes.

    python scripts/upright.py [--out FILE]

The shapes are those of ``shapecnn demo``, each turned at random, so no data of others is in the file. Their 24 views
along own axes are described by the image network of ``@imagenet``. A linear scorer learns by multinomial logistic
regression which of the six poses is upright.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from scipy.spatial.transform import Rotation
from torch import Tensor

from shapecnn.meshes.mesh import Mesh, normalize
from shapecnn.meshes.orientation import canonical_axes
from shapecnn.models.engine import open_engine
from shapecnn.models.output import Output
from shapecnn.models.untrained import UntrainedModel
from shapecnn.networks.upright import average_poses, prepare
from shapecnn.settings.views_and_grids import ViewSettings
from shapecnn.sources.shapes import CLASSES, make_shape
from shapecnn.views import render_views
from shapecnn.views.cameras import cube_rotations

OUT = Path(__file__).resolve().parent.parent / "shapecnn" / "networks" / "upright.safetensors"
_SEED = 7
_FIRST = 5000  # seeds of the generated shapes: not those of the demo
_CLEAR = np.cos(np.deg2rad(15))  # a shape is used if one of its axes is so close to its up axis
_SHARPNESS = 2.0  # factor of the scores: shapes of other classes are judged with less confidence than 1 would give


def ups() -> NDArray[np.float64]:
    """Return the up direction (24, 3) that each of the 24 views shows as up."""
    return np.asarray(cube_rotations()[:, :, 2].round())


def describe(per_class: int) -> tuple[Tensor, Tensor]:
    """Return features (N, 24, D) of the views of generated shapes, and their up directions (N, 3) in own axes."""
    model = UntrainedModel.of(orientation="auto", pooling="mean")
    settings, engine = model.settings.input_settings(), open_engine(model, "cpu", views=True)
    assert isinstance(settings, ViewSettings)
    random = np.random.default_rng(_SEED)
    outputs: dict[int, Output] = {}
    directions: list[NDArray[np.float64]] = []
    for number in range(per_class):
        for label in CLASSES:
            mesh, rotation = make_shape(label, _FIRST + number), Rotation.random(random_state=random).as_matrix()
            mesh = normalize(Mesh(mesh.vertices @ rotation.T, mesh.faces))
            engine.start(len(directions), render_views(mesh, settings))
            directions.append(canonical_axes(mesh) @ rotation[:, 2])
            outputs.update(engine.finished())
    engine.wait()
    outputs.update(engine.finished())
    rows = [np.asarray(outputs[number].views) for number in range(len(directions))]
    return torch.from_numpy(np.stack(rows)), torch.from_numpy(np.stack(directions))


def fit(features: Tensor, directions: Tensor, penalty: float) -> tuple[Tensor, Tensor]:
    """Return the scorer (D,) and the pose of each view (24,)."""
    ends, poses = np.unique(ups(), axis=0, return_inverse=True)
    order = torch.from_numpy(poses.reshape(-1)).argsort(stable=True)
    described = prepare(average_poses(features, order))
    nearness, true = (directions @ torch.from_numpy(ends).T).max(dim=1)
    clear = nearness > _CLEAR
    direction = torch.zeros(described.shape[2], requires_grad=True)
    optimizer = torch.optim.LBFGS([direction], max_iter=500, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(described[clear] @ direction, true[clear])
        loss = loss + penalty * direction.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return _SHARPNESS * direction.detach(), torch.from_numpy(poses.reshape(-1).astype(np.int64))


@click.command()
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), default=OUT)
@click.option("--per-class", type=click.IntRange(1), default=40, show_default=True, help="Shapes of each class.")
@click.option("--penalty", type=float, default=1e-3, show_default=True, help="Of the squared length of the scorer.")
def main(out: Path, per_class: int, penalty: float) -> None:
    """Fit the scorer and write it to a safetensors file."""
    features, directions = describe(per_class)
    direction, poses = fit(features, directions, penalty)
    save_file({"direction": direction, "poses": poses}, out)
    print(f"{out}: {len(direction)} features, fitted to {len(features)} shapes")


if __name__ == "__main__":
    main()
