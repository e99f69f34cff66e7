"""Fit the scorer of upright poses, shapecnn/networks/upright.safetensors, to generated shapes.

    python scripts/upright.py [--out FILE]

The shapes are those of ``shapecnn demo``, each turned at random, so no data of others is in the file. Their 24 views
along own axes are described by the image network of ``@imagenet``, and by their outlines. A linear scorer learns by
multinomial logistic regression which of the six poses is upright. How well it does on classes that it has not seen is
measured by leaving out two classes at a time; the penalty, and the sharpness of the scores, are those with the lowest
loss there.
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
from shapecnn.networks.upright import MEASURES, average_poses, outline, prepare, relative
from shapecnn.settings.views_and_grids import ViewSettings
from shapecnn.sources.shapes import CLASSES, make_shape
from shapecnn.views import render_views
from shapecnn.views.cameras import cube_rotations

OUT = Path(__file__).resolve().parent.parent / "shapecnn" / "networks" / "upright.safetensors"
_SEED = 7
_FIRST = 5000  # seeds of the generated shapes: not those of the demo
_CLEAR = np.cos(np.deg2rad(15))  # a shape is used if one of its axes is so close to its up axis
_LEFT_OUT = 2  # classes at a time
_PENALTIES = 1e-3, 3e-4, 1e-4  # of the squared length of the scorer
_SHARPNESS = 0.75, 1.0, 1.5, 2.0  # factors of the scores
_WEIGHT = 0.4 / MEASURES**0.5  # of the measures beside the features, which have length 1


def ups() -> NDArray[np.float64]:
    """Return the up direction (24, 3) that each of the 24 views shows as up."""
    return np.asarray(cube_rotations()[:, :, 2].round())


def describe(per_class: int) -> tuple[Tensor, Tensor]:
    """Return features and outlines (N, 24, D + 13) of the views of generated shapes, and their up directions (N, 3).

    The shapes of all classes come in turn. Up directions are in own axes.
    """
    model = UntrainedModel.of(orientation="auto", pooling="mean")
    settings, engine = model.settings.input_settings(), open_engine(model, "cpu", views=True)
    assert isinstance(settings, ViewSettings)
    random = np.random.default_rng(_SEED)
    outputs: dict[int, Output] = {}
    outlines: list[Tensor] = []
    directions: list[NDArray[np.float64]] = []
    for number in range(per_class):
        for label in CLASSES:
            mesh, rotation = make_shape(label, _FIRST + number), Rotation.random(random_state=random).as_matrix()
            mesh = normalize(Mesh(mesh.vertices @ rotation.T, mesh.faces))
            views = render_views(mesh, settings)
            engine.start(len(directions), views)
            outlines.append(outline(torch.from_numpy(views)))
            directions.append(canonical_axes(mesh) @ rotation[:, 2])
            outputs.update(engine.finished())
    engine.wait()
    outputs.update(engine.finished())
    features = torch.from_numpy(np.stack([np.asarray(outputs[number].views) for number in range(len(directions))]))
    return torch.cat([features, torch.stack(outlines)], dim=2), torch.from_numpy(np.stack(directions))


def fit(poses: Tensor, true: Tensor, penalty: float) -> Tensor:
    """Return the weights (D,) that tell the true pose (N,) of N shapes by D numbers of each, (N, 6, D)."""
    weights = torch.zeros(poses.shape[2], requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=500, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(poses @ weights, true) + penalty * weights.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return weights.detach()


def choose(poses: Tensor, true: Tensor, labels: Tensor) -> tuple[float, float]:
    """Return penalty and sharpness with the lowest loss on classes that were left out of the fit."""
    losses = {}
    for penalty in _PENALTIES:
        scores = torch.zeros(poses.shape[:2])
        for first in range(0, len(CLASSES), _LEFT_OUT):
            out = (labels >= first) & (labels < first + _LEFT_OUT)
            scores[out] = poses[out] @ fit(poses[~out], true[~out], penalty)
        right = float((scores.argmax(dim=1) == true).float().mean())
        for sharpness in _SHARPNESS:
            loss = float(torch.nn.functional.cross_entropy(sharpness * scores, true))
            losses[penalty, sharpness] = loss
            print(f"penalty {penalty:g}, sharpness {sharpness:g}: loss {loss:.3f}, {right:.1%} right")
    return min(losses, key=lambda each: losses[each])


@click.command()
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), default=OUT)
@click.option("--per-class", type=click.IntRange(1), default=40, show_default=True, help="Shapes of each class.")
def main(out: Path, per_class: int) -> None:
    """Fit the scorer and write it to a safetensors file."""
    described, directions = describe(per_class)
    ends, inverse = np.unique(ups(), axis=0, return_inverse=True)
    pose_of = torch.from_numpy(inverse.reshape(-1).astype(np.int64))
    poses = average_poses(described, pose_of.argsort(stable=True))
    features, outlines = poses[..., :-MEASURES], poses[..., -MEASURES:]
    spread = (outlines - outlines.mean(dim=1, keepdim=True)).std(dim=(0, 1)) + 1e-6
    nearness, true = (directions @ torch.from_numpy(ends).T).max(dim=1)
    clear = nearness > _CLEAR
    joined = torch.cat([prepare(features), _WEIGHT * relative(outlines, spread)], dim=2)[clear]
    labels = (torch.arange(len(described)) % len(CLASSES))[clear]
    penalty, sharpness = choose(joined, true[clear], labels)
    weights = sharpness * fit(joined, true[clear], penalty)
    scorer = {"direction": weights[:-MEASURES].clone(), "outline": _WEIGHT * weights[-MEASURES:]}
    save_file({**scorer, "spread": spread, "poses": pose_of}, out)
    print(f"{out}: fitted to {int(clear.sum())} shapes, penalty {penalty:g}, sharpness {sharpness:g}")


if __name__ == "__main__":
    main()
