"""Cost of an unknown up axis: search in psb as it stands and turned at random, by each method.

    python benchmarks/orientation.py --json results/orientation.json

psb: the train split, each mesh turned by a rotation drawn uniformly from SO(3). Untrained: @imagenet searches the split
in itself (protocol mvcnn). Trained: mvcnn-psb is trained on the first --folds folds, once on 12 upright views and once
on 24 views of turned meshes, and measured on the held-out fifth of each. psb-unaligned: 313 meshes without a common up.
"""

from __future__ import annotations

import io
import os
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from measure import arguments, save, shapecnn, table, use_cores

from shapecnn.meshes.collection import list_shapes
from shapecnn.meshes.mesh import read_mesh, upright

SEED = 0
METHODS: dict[str, tuple[str, ...]] = {
    "12 views, as they stand": (),
    "20 views, as they stand": ("--views", "20"),
    "20 views, own axes": ("--orientation", "auto", "--views", "20"),
    "24 views, own axes": ("--orientation", "auto"),
}
AUTO = "24 views, own axes"


def turn_all(collection: Path, out: Path) -> None:
    """The train split with each mesh turned by a rotation of its own."""
    shapes = [shape for shape in list_shapes(collection) if shape.split == "train"]
    quaternions = np.random.default_rng(SEED).normal(size=(len(shapes), 4))
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for shape, q in zip(shapes, quaternions, strict=True):
            mesh = upright(read_mesh(shape.read(), shape.id, shape.sibling), "y")
            text = io.StringIO()
            text.write(f"OFF\n{len(mesh.vertices)} {len(mesh.faces)} 0\n")
            np.savetxt(text, mesh.vertices @ _matrix(q / np.linalg.norm(q)).T, "%.17g")
            np.savetxt(text, np.insert(mesh.faces, 0, 3, axis=1), "%d")
            archive.writestr(f"psb/{shape.id}", text.getvalue())


def _matrix(q: np.ndarray) -> np.ndarray:
    """Of a unit quaternion w, x, y, z."""
    w, v = q[0], q[1:]
    cross = np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])
    return np.asarray((w * w - v @ v) * np.eye(3) + 2 * np.outer(v, v) + 2 * w * cross)


def untrained(collection: Path, out: Path, method: str, split: str, up: str = "z") -> dict[str, Any]:
    """Draw, then search by @imagenet."""
    options = METHODS[method]
    drawn = shapecnn("render", collection, out, "--up", up, *options)
    alike = [f"{a.removeprefix('--')}={b}" for a, b in zip(options[::2], options[1::2], strict=True)]
    words = [word for setting in alike for word in ("--set", setting)]
    started = time.perf_counter()
    told = shapecnn("eval", "@imagenet", "--data", out, "--split", split, "--task", "retrieval", *words)
    seconds = time.perf_counter() - started
    return {
        "method": method,
        "retrieval": told["retrieval"],
        "intervals": told["intervals"],
        "draw_seconds_a_shape": drawn["seconds"] / max(drawn["written"], 1),
        "search_seconds_a_shape": seconds / told["count"],
    }


def trained(data: Path, run: Path, fold: int) -> dict[str, Any]:
    """mvcnn-psb trained on one fold."""
    done = shapecnn("train", "mvcnn-psb", "--data", data, "--out", run, "--set", f"validation.fold={fold}")
    row: dict[str, Any] = {"fold": fold, "train_seconds": done["seconds"]}
    for feature in ("scores", "penultimate"):
        told = shapecnn("eval", run, "--data", data, "--split", "val", "--feature", feature)
        row |= {f"mAP_{feature}": told["retrieval"]["mAP"], f"intervals_{feature}": told["intervals"]}
        row["accuracy"] = told["classification"]["accuracy"]
    return row


def main() -> None:
    options = arguments(__doc__ or "", folds=5, work="")
    os.environ["OMP_NUM_THREADS"] = "2"
    use_cores(2)
    psb, unaligned = options.data / "psb.zip", options.data / "psb-unaligned.zip"
    with tempfile.TemporaryDirectory(dir=options.work or None) as folder:
        work = Path(folder)
        turn_all(psb, work / "turned.zip")
        figures: dict[str, Any] = {"rotations_seed": SEED}
        figures["psb upright"] = [untrained(psb, work / "upright", "12 views, as they stand", "train", "y")]
        figures["psb turned"] = [
            untrained(work / "turned.zip", work / f"turned{i}", method, "train") for i, method in enumerate(METHODS)
        ]
        figures["psb-unaligned"] = [
            untrained(unaligned, work / f"unaligned{i}", method, "test") for i, method in enumerate(METHODS)
        ]
        for name in ("psb upright", "psb turned", "psb-unaligned"):
            headings = ("method", "mAP", "NN", "draw s", "search s")
            rows = [
                [row["method"]]
                + [f"{100 * row['retrieval'][key]:.1f}" for key in ("mAP", "NN")]
                + [f"{row[key]:.3f}" for key in ("draw_seconds_a_shape", "search_seconds_a_shape")]
                for row in figures[name]
            ]
            print(f"{name}, untrained\n{table(headings, rows)}\n", flush=True)
        auto = work / f"turned{list(METHODS).index(AUTO)}"
        figures["trained"] = {
            "12 views, upright": [trained(work / "upright", work / f"up{k}", k) for k in range(options.folds)],
            f"{AUTO}, turned": [trained(auto, work / f"auto{k}", k) for k in range(options.folds)],
        }
        for name, rows in figures["trained"].items():
            means = {
                key: float(np.mean([row[key] for row in rows]))
                for key in ("accuracy", "mAP_scores", "mAP_penultimate", "train_seconds")
            }
            print(name, means)
        save(options.json, figures, [psb, unaligned])


if __name__ == "__main__":
    main()
