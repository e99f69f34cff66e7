"""Fit the visual vocabulary of the Fisher vectors, shapecnn/descriptors/vocabulary.safetensors, to generated shapes.

    python scripts/vocabulary.py [--out FILE]

The shapes are those of ``shapecnn demo``, drawn as 12 views, so no data of others is in the file. The same options give
the same file; another processor may round differently.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from shapecnn.descriptors.dense_sift import dense_sift
from shapecnn.descriptors.fisher_vectors import Vocabulary
from shapecnn.meshes.mesh import normalize
from shapecnn.settings.views_and_grids import ViewSettings
from shapecnn.sources.shapes import CLASSES, make_shape
from shapecnn.storage.arrays import Rows, write_arrays
from shapecnn.views import render_views

OUT = Path(__file__).resolve().parent.parent / "shapecnn" / "descriptors" / "vocabulary.safetensors"
_SEED = 13


def sample_features(per_class: int, per_view: int) -> NDArray[np.float32]:
    """Return SIFT features of generated shapes: for each class ``per_class`` shapes, ``per_view`` from each view."""
    generator = np.random.default_rng(_SEED)
    samples = []
    for label in CLASSES:
        for number in range(per_class):
            for view in render_views(normalize(make_shape(label, number)), ViewSettings()):
                features = dense_sift(view)
                chosen = generator.choice(len(features), min(per_view, len(features)), replace=False)
                samples.append(features[np.sort(chosen)])
    return np.concatenate(samples)


def fit_vocabulary(features: NDArray[np.float32], gaussians: int, axes: int) -> Vocabulary:
    """Fit PCA with ``axes`` components and a mixture of ``gaussians`` Gaussians to features (N, 128)."""
    from skimage.feature import learn_gmm
    from sklearn.decomposition import PCA
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # the bits of BLAS depend on the number of its threads
        projection = PCA(axes, svd_solver="covariance_eigh").fit(features.astype(np.float64))
        points = projection.transform(features.astype(np.float64))
        # At most 1/1000 of the mean variance is added: a Gaussian on equal features would have none of its own.
        options = {
            "covariance_type": "diag",
            "random_state": _SEED,
            "max_iter": 500,
            "reg_covar": points.var(axis=0).mean() / 1000,
        }
        mixture = learn_gmm(points, n_modes=gaussians, gm_args=options)
    arrays = (projection.mean_, projection.components_.T, mixture.weights_, mixture.means_, mixture.covariances_)
    return Vocabulary(*(np.ascontiguousarray(array, np.float32) for array in arrays))


def write_vocabulary(path: Path, words: Vocabulary) -> None:
    arrays = {name: getattr(words, name) for name in ("mean", "axes", "weights", "means", "variances")}
    write_arrays(path, {name: Rows("F32", array.shape, array) for name, array in arrays.items()})


@click.command()
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), default=OUT)
@click.option("--per-class", type=click.IntRange(1), default=16, show_default=True, help="Shapes of each class.")
@click.option("--per-view", type=click.IntRange(1), default=50, show_default=True, help="Features of each view.")
@click.option("--gaussians", type=click.IntRange(1), default=64, show_default=True)
@click.option("--axes", type=click.IntRange(1, 128), default=48, show_default=True, help="Principal components.")
def main(out: Path, per_class: int, per_view: int, gaussians: int, axes: int) -> None:
    """Fit a vocabulary and write it to a safetensors file."""
    features = sample_features(per_class, per_view)
    write_vocabulary(out, fit_vocabulary(features, gaussians, axes))
    print(f"{out}: {gaussians} Gaussians of {axes} axes, fitted to {len(features):,} features")


if __name__ == "__main__":
    main()
