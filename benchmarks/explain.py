"""Faithfulness of explanations: the score of a class must fall when the evidence for it is removed.

    shapecnn render psb.zip views/ --up y && shapecnn train mvcnn-psb --data views/ --out run/
    python benchmarks/explain.py --run run/ --data views/ --json results/explain.json

Pixels are blanked, or cells emptied, in the same blocks for each order: by the heat of ``explain``, by the plain
gradient (the saliency of the MVCNN paper), or at random. Views are removed by the shares of ``explain``, by the norm of
their gradient (the ranking of the paper), or at random. The shapes were held out of training and are spread evenly over
the classes; 40 take about 5 minutes on 2 cores.
"""

from __future__ import annotations

from functools import partial
from time import perf_counter
from typing import Any

import numpy as np
import torch
from measure import arguments, save, table, use_cores
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from shapecnn.artefacts.reading import open_artefacts
from shapecnn.models.attribution import Inquiry
from shapecnn.models.calibration import probabilities
from shapecnn.models.engine import open_engine
from shapecnn.models.model import classes_of, resolve_model
from shapecnn.networks.network import ShapeNetwork

FRACTIONS = (0.05, 0.1, 0.2, 0.3, 0.5)  # of the blocks that are not empty
LEFT_OUT = (1, 2, 3, 4, 6, 8)
CHANCE = 3  # random orders of each shape
BLOCK = {"views": 16, "voxels": 3}


def main() -> None:
    options = arguments(__doc__ or "", run="run", shapes=40)
    use_cores(2)
    torch.set_num_threads(2)  # it has counted the cores before
    model, artefacts = resolve_model(options.run), open_artefacts(options.data)
    classes = classes_of(model)
    network, engine = model.network.build().requires_grad_(False), open_engine(model, "cpu")
    blank, block = (255, BLOCK["views"]) if model.input.kind == "views" else (0, BLOCK["voxels"])
    entries = model.split(artefacts, "val")
    entries = entries[:: max(1, len(entries) // options.shapes)][: options.shapes]
    random = np.random.default_rng(0)
    pixels: dict[str, list[list[float]]] = {}
    views: dict[str, list[list[float]]] = {}
    seconds: list[float] = []
    incomplete = 0.0
    for entry in entries:
        looks = model.input.read(artefacts, entry)
        seen = torch.from_numpy(np.ascontiguousarray(looks))
        started = perf_counter()
        inquiry = Inquiry(network, seen, blank)
        best = int(inquiry.logits.argmax())
        direction = torch.eye(len(classes))[best] - 1 / len(classes)
        found = inquiry.attribution(direction)
        seconds.append(perf_counter() - started)
        incomplete = max(incomplete, abs(float(found.contributions.sum()) + found.rest - found.logit))
        size, norms = gradient(network, seen, direction)
        filled = blocks((looks != blank).astype(np.float32), block) > 0
        orders = {"explain": blocks(found.heat, block), "gradient": blocks(size, block)}
        orders |= {f"chance{i}": random.random(filled.shape) for i in range(CHANCE)}
        for name, order in orders.items():
            ranking = np.argsort(-np.where(filled, order, -np.inf), axis=None, kind="stable")
            for fraction in FRACTIONS:
                taken = ranking[: round(fraction * int(filled.sum()))]
                engine.start((name, fraction), without(looks, filled.shape, taken, block, blank))
        engine.start("whole", looks)
        engine.wait()
        scores = {key: float(output.scores[best]) for key, output in engine.finished() if output.scores is not None}
        for name in orders:
            pixels.setdefault(name, []).append([scores[name, f] / scores["whole"] for f in FRACTIONS])

        score = partial(share_of_class, network, inquiry.activations, best)
        rankings = {"explain": found.contributions, "gradient": norms}
        rankings |= {f"chance{i}": random.random(len(looks)) for i in range(CHANCE)}
        for name, order in rankings.items():
            ranking = np.argsort(-order, kind="stable")
            kept = [score(ranking[count:]) for count in LEFT_OUT if count < len(looks)]
            views.setdefault(name, []).append([value / score(np.arange(len(looks))) for value in kept])
    figures: dict[str, Any] = {
        "run": model.to_json(),
        "shapes": len(entries),
        "block": block,
        "median_seconds_to_explain": float(np.median(seconds)),
        "largest_gap_of_contributions": incomplete,
        "score_left_when_blocks_are_blanked": {"fractions": FRACTIONS, **summary(pixels)},
        "score_left_when_views_are_left_out": {"views": [c for c in LEFT_OUT if c < len(looks)], **summary(views)},
    }
    for title, of, curves in (("blocks", FRACTIONS, summary(pixels)), ("views", LEFT_OUT, summary(views))):
        rows = [[name, *(f"{v:.3f}" for v in c["curve"]), f"{c['mean']:.3f}"] for name, c in curves.items()]
        print(table([title, *of[: len(rows[0]) - 2], "mean"], rows))
    print(
        f"largest gap of contributions: {incomplete:.1e} logits; {len(entries)} shapes, {np.median(seconds):.1f} s each"
    )
    save(options.json, figures, [options.data / "settings.json", options.data / "manifest.parquet"])


def gradient(network: ShapeNetwork, looks: Tensor, direction: Tensor) -> tuple[NDArray[Any], NDArray[Any]]:
    """Size of the gradient at every pixel or cell, like the looks, and its norm in each look (V,)."""
    encoded = network.encode(looks).requires_grad_()
    x = encoded
    for part in network.parts.values():
        x = part(x)
    (slope,) = torch.autograd.grad(network.head(network.pool(x[None]))[0][0] @ direction, encoded)
    size = slope.norm(dim=1)
    if size.shape != looks.shape:  # the network scales pictures to its own size
        size = functional.adaptive_avg_pool2d(size, (looks.shape[1], looks.shape[2]))
    return size.numpy(), slope.flatten(1).norm(dim=1).numpy()


def blocks(values: NDArray[Any], side: int) -> NDArray[Any]:
    """(V, S, ...) → (V, S / side, ...): the sum in each block."""
    split = [n for size in values.shape[1:] for n in (size // side, side)]
    summed: NDArray[Any] = values.reshape(len(values), *split).sum(axis=tuple(range(2, 2 * values.ndim - 1, 2)))
    return summed


def without(looks: NDArray[Any], shape: tuple[int, ...], taken: NDArray[Any], side: int, blank: int) -> NDArray[Any]:
    """The looks with some blocks blanked, given by their flat indices."""
    mask = np.zeros(int(np.prod(shape)), bool)
    mask[taken] = True
    mask = mask.reshape(shape)
    for axis in range(1, mask.ndim):
        mask = mask.repeat(side, axis)
    return np.where(mask, np.uint8(blank), looks)


def share_of_class(network: ShapeNetwork, activations: Tensor, label: int, kept: NDArray[Any]) -> float:
    """Probability of a class by some of the looks alone."""
    logits = network.head(network.pool(activations[:, torch.from_numpy(kept)]))[0][0]
    return float(probabilities(logits.numpy())[label])


def summary(curves: dict[str, list[list[float]]]) -> dict[str, Any]:
    """Mean over the shapes, and over the random orders; the score of the whole shape is 1."""
    merged: dict[str, list[list[float]]] = {}
    for name, rows in curves.items():
        merged.setdefault(name.rstrip("0123456789"), []).extend(rows)
    return {
        name: {"curve": np.mean(rows, axis=0).tolist(), "mean": float(np.mean(rows))} for name, rows in merged.items()
    }


if __name__ == "__main__":
    main()
