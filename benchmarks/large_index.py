"""An index of any number of shapes, for benchmarks: files and formats are those of ``shapecnn index --up y``.

The shapes are the smallest meshes of psb.zip, over and over; each file has a line of its own, so no two have the same
hash and every picture is drawn. Features of ``@imagenet`` are computed for these meshes. Those of the index are drawn
from a mixture of Gaussians that is fitted to them. Their adapted coordinates are without neighbours: neighbours take
time quadratic in the number of shapes, and would change no time of a search.
"""

from __future__ import annotations

import zipfile
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from measure import shapecnn
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture

from shapecnn.models.space import Placed
from shapecnn.search.index import Index, IndexedShape, read_index
from shapecnn.search.plan import IndexRequest, plan_index
from shapecnn.search.publication import Draft, publish_index
from shapecnn.search.rows import FeatureRow, StoredRow
from shapecnn.shared.similarity import unit
from shapecnn.storage.journal import open_journal
from shapecnn.storage.reading import sha256
from shapecnn.storage.unfinished import WORK, discard

REAL = 120  # number of meshes of psb whose features are computed
AXES, PARTS = 32, 8  # principal components and Gaussians of the mixture
SEED = 0

Rows = NDArray[np.float32]


class Drawn(NamedTuple):
    """N feature vectors of D values (N, D), and the real shape whose files and views each of them has (N,)."""

    features: Rows
    models: NDArray[np.int64]


def make_index(folder: Path, source: Path, count: int) -> Path:
    """Return the folder of an index of ``count`` shapes, which is made in ``folder`` unless it is there."""
    made = folder / f"index-{count}"
    if (made / "SHA256SUMS").exists():
        return made
    real = real_index(folder, source)
    drawn = draw_features(real, count)
    shapes = write_meshes(folder / f"meshes-{count}", real, drawn.models)
    order = np.argsort([shape.id for shape in shapes])
    shapes, drawn = [shapes[row] for row in order], Drawn(drawn.features[order], drawn.models[order])
    rows = [StoredRow(shape.sha256, partial(row_of, real, drawn, row)) for row, shape in enumerate(shapes)]
    placed = Placed(standardized(drawn.features), np.ones(count, bool))
    plan = plan_index(made, IndexRequest(up="y"))
    with open_journal(made / WORK, {}):
        publish_index(made, Draft(plan.record, plan.labels, real.engine, shapes, [], rows), placed)
    discard(made / WORK)
    return made


def real_index(folder: Path, source: Path) -> Index:
    """The index of the smallest meshes of psb, as the command makes it."""
    meshes, index = folder / "real", folder / "real-index"
    with zipfile.ZipFile(source) as archive:
        files = [info for info in archive.infolist() if info.filename.endswith(".off")]
        for info in sorted(files, key=lambda info: info.file_size)[:REAL]:
            _, label, _, name = info.filename.split("/")
            (meshes / label).mkdir(parents=True, exist_ok=True)
            (meshes / label / name).write_bytes(archive.read(info))
    shapecnn("index", meshes, index, "--up", "y")
    return read_index(index)


def draw_features(real: Index, count: int) -> Drawn:
    """Vectors from a mixture in the space of the principal components, with what these leave out as noise."""
    reduced = PCA(AXES, random_state=SEED).fit(real.features)
    known = reduced.transform(real.features)
    mixture = GaussianMixture(PARTS, covariance_type="full", reg_covar=1e-5, random_state=SEED).fit(known)
    random = np.random.default_rng(SEED)
    places, parts = mixture.sample(count)
    rest = (real.features - reduced.inverse_transform(known)).std(axis=0)
    features = np.empty((count, real.features.shape[1]), np.float32)
    for start in range(0, count, 4096):
        some = reduced.inverse_transform(places[start : start + 4096])
        features[start : start + 4096] = unit(some + random.normal(size=some.shape) * rest)
    of_parts = mixture.predict(known)
    members = [np.flatnonzero(of_parts == part) for part in range(PARTS)]
    models = np.array([random.choice(members[part] if len(members[part]) else len(known)) for part in parts])
    return Drawn(features, models)


def write_meshes(folder: Path, real: Index, models: NDArray[np.int64]) -> list[IndexedShape]:
    """A file for each shape: the mesh of its model, and a comment with its number."""
    contents = [shape.source.read() for shape in real.shapes]
    shapes = []
    for number, model in enumerate(models):
        of = real.shapes[model]
        name = f"{of.id.removesuffix('.off')}-{number:06}.off"
        data = contents[model].rstrip() + f"\n# {number}\n".encode()
        file = folder / name
        if number < len(real.shapes) or not file.parent.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        shapes.append(IndexedShape(name, of.label, None, sha256(data), str(file.resolve())))
    return shapes


def row_of(real: Index, drawn: Drawn, row: int) -> FeatureRow:
    """The feature of a shape, and for its views those of its model, moved as the feature is from that of the model."""
    model, feature = drawn.models[row], drawn.features[row]
    assert isinstance(real.views, np.ndarray)  # the index was made with plain rows
    moved = real.views[model].astype(np.float32) + feature - real.features[model]
    return FeatureRow(feature, unit(moved).astype(np.float16))


def standardized(features: Rows) -> Rows:
    """Square roots of the features, standardized over all shapes, of unit length."""
    rooted = np.sign(features) * np.sqrt(np.abs(features))
    rooted -= rooted.mean(axis=0)
    rooted /= np.maximum(rooted.std(axis=0), 1e-6)
    return unit(rooted)
