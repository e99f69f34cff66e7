"""Fisher vector of a shape: how the SIFT features of its views differ from a Gaussian mixture.

This is the engineered baseline of the MVCNN paper (Su, Maji, Kalogerakis, Learned-Miller, ICCV 2015, section 4). The
formulas are those of Sánchez, Perronnin, Mensink and Verbeek, "Image Classification with the Fisher Vector" (2013).
``scripts/vocabulary.py`` fits the mixture to shapes that shapecnn generates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from shapecnn.descriptors.dense_sift import SIZE, dense_sift
from shapecnn.errors import UsageError
from shapecnn.shared.jit import numba
from shapecnn.storage.arrays import array_of, read_arrays


@dataclass(frozen=True, slots=True, eq=False)
class Vocabulary:
    """Visual vocabulary: a projection of SIFT features by PCA, and a mixture of K Gaussians of the projections.

    Attributes:
        mean: (128,) float32, mean of the features.
        axes: (128, P) float32, the P principal components of the features, as columns of unit length.
        weights: (K,) float32, weights of the Gaussians; above 0, with sum 1.
        means: (K, P) float32, means of the Gaussians.
        variances: (K, P) float32, variances of the Gaussians along each of the P axes; above 0.
    """

    mean: NDArray[np.float32]
    axes: NDArray[np.float32]
    weights: NDArray[np.float32]
    means: NDArray[np.float32]
    variances: NDArray[np.float32]

    @classmethod
    def read(cls, content: bytes) -> Vocabulary:
        """Read a vocabulary from the content of a safetensors file, with an array for each attribute.

        Args:
            content: Bytes of the file.

        Raises:
            ValueError: The content is not a vocabulary.
        """
        arrays = read_arrays(content)
        axes = array_of(arrays, "axes", np.float32, (SIZE, None))
        weights = array_of(arrays, "weights", np.float32, (None,))
        shape = (len(weights), axes.shape[1])
        variances = array_of(arrays, "variances", np.float32, shape)
        if not (weights > 0).all() or not (variances > 0).all() or abs(float(weights.sum()) - 1) > 1e-3:
            raise ValueError("the weights or the variances of the Gaussians are not those of a mixture")
        return cls(
            array_of(arrays, "mean", np.float32, (SIZE,)),
            axes,
            weights,
            array_of(arrays, "means", np.float32, shape),
            variances,
        )

    @property
    def length(self) -> int:
        """Number of values of a Fisher vector: two for each axis of each Gaussian."""
        return 2 * self.means.size


@cache
def vocabulary() -> Vocabulary:
    """Return the vocabulary that comes with shapecnn."""
    return Vocabulary.read(resources.files("shapecnn.descriptors").joinpath("vocabulary.safetensors").read_bytes())


def length() -> int:
    """Return the number of values of :func:`fisher_vector`."""
    return vocabulary().length


def fisher_vector(views: NDArray[np.uint8], words: Vocabulary | None = None) -> NDArray[np.float32]:
    """Compute the Fisher vector of a shape from its views.

    It is the mean of the Fisher vectors of the views. Signed square roots then reduce the influence of a few large
    values, and the result is scaled to unit length (Perronnin, Sánchez, Mensink, ECCV 2010). The same views give the
    same bits, whatever the number of threads. The order of the views does not matter, except for rounding.

    Args:
        views: V views of S × S pixels, (V, S, S) uint8. Pictures of all sizes are resized to the same three scales.
        words: Vocabulary; None for the vocabulary that comes with shapecnn.

    Returns:
        (D,) float32 of unit length, with D = :func:`length` values. All 0 if each view has the same grey everywhere.

    Raises:
        UsageError: The array does not contain square grey pictures.

    Example:
        >>> views = np.full((12, 224, 224), 255, np.uint8)
        >>> views[:, 80:140, 60:100] = 90
        >>> vector = fisher_vector(views)
        >>> vector.shape == (length(),), round(float(np.linalg.norm(vector)), 5)
        (True, 1.0)
    """
    if views.dtype != np.uint8 or views.ndim != 3 or views.shape[1] != views.shape[2] or not views.shape[1]:
        raise UsageError(
            f"Fisher vectors need square grey views, an array (V, S, S) of uint8, not {views.shape} of {views.dtype}."
        )
    words = words or vocabulary()
    total = np.zeros(words.length)  # the sum in place of the mean: the length is scaled to 1
    for view in views:
        total += encode(dense_sift(view), words)
    vector = np.sign(total) * np.sqrt(np.abs(total))
    return np.asarray(vector / max(float(np.linalg.norm(vector)), np.finfo(np.float32).tiny), np.float32)


def encode(features: NDArray[np.float32], words: Vocabulary) -> NDArray[np.float64]:
    """Compute the Fisher vector of a set of features, without power or L2 normalization.

    The vector is the gradient of the mean log-likelihood of the features by the means and standard deviations of the
    Gaussians, divided by the square root of the Fisher information (equations 17 and 18 of Sánchez et al.). As in
    their paper, the gradient by the weights is left out, because it adds little.

    Args:
        features: (N, 128) float32, N SIFT features.
        words: The vocabulary, with K Gaussians of P axes.

    Returns:
        (2 K P,) float64: the gradients by the means of the first Gaussian along the P axes, of the second, and so on;
        then the gradients by the standard deviations, in the same order. All 0 if there are no features.
    """
    if not len(features):
        return np.zeros(words.length)
    weights, means, variances = (array.astype(np.float64) for array in (words.weights, words.means, words.variances))
    scales = 1 / np.sqrt(variances)
    offsets = np.log(weights) + np.log(scales).sum(axis=1)
    first, second = _accumulate(
        features, words.mean, words.axes, offsets, np.ascontiguousarray(means.T), np.ascontiguousarray(scales.T)
    )
    share = len(features) * np.sqrt(weights)
    return np.concatenate([(first / share).T.ravel(), (second / (math.sqrt(2) * share)).T.ravel()])


@numba.njit(cache=True, nogil=True)
def _accumulate(features, mean, axes, offsets, means, scales):  # type: ignore[no-untyped-def]
    """Sum γ u and γ (u² − 1) over features, for posterior γ of a Gaussian and offset u from its mean in deviations.

    The innermost loops run over axes or Gaussians, which lie side by side in memory. BLAS would be as fast, but its
    bits depend on the number of its threads.

    Args:
        features: (N, 128) float32.
        mean: (128,) float32, subtracted from each feature before the projection.
        axes: (128, P) float32, the projection.
        offsets: (K,) float64, logarithms of weight and normalization of each Gaussian.
        means: (P, K) float64, means of the Gaussians.
        scales: (P, K) float64, inverse standard deviations of the Gaussians.

    Returns:
        Two arrays (P, K) float64: the sums of γ u and of γ (u² − 1).
    """
    P, K = means.shape
    first, second = np.zeros((P, K)), np.zeros((P, K))
    point, u, gamma = np.empty(P), np.empty((P, K)), np.empty(K)
    for feature in features:
        point[:] = 0.0
        for i in range(len(mean)):
            value = np.float64(feature[i]) - mean[i]
            for p in range(P):
                point[p] += value * axes[i, p]
        gamma[:] = offsets
        for p in range(P):
            value = point[p]
            for k in range(K):
                offset = (value - means[p, k]) * scales[p, k]
                u[p, k] = offset
                gamma[k] -= 0.5 * offset * offset
        highest = gamma.max()
        total = 0.0
        for k in range(K):
            gamma[k] = np.exp(gamma[k] - highest)
            total += gamma[k]
        for k in range(K):
            gamma[k] /= total
        for p in range(P):
            for k in range(K):
                first[p, k] += gamma[k] * u[p, k]
                second[p, k] += gamma[k] * (u[p, k] * u[p, k] - 1.0)
    return first, second
