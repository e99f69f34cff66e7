"""Size and quality of an index with full and with small rows.

    python benchmarks/index_rows.py --json results/index_rows.json

The first SHAPES shapes of the train split of psb.zip, taken evenly, are indexed with @imagenet. mAP: every shape
queries all others (protocol mvcnn). Pictures: each shape is drawn from an azimuth halfway between two views of the
index; `own` is the share of pictures that find their own shape first, `class` the mAP over all other shapes. The bytes
are those of all files of the index; codes need no training, so bytes per shape do not depend on the number of shapes.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from measure import arguments, mean_precision, save, table, unpacked
from numpy.typing import NDArray

from shapecnn.meshes.mesh import load_mesh
from shapecnn.models.untrained import UntrainedModel
from shapecnn.search.header import Form
from shapecnn.search.index import Index, read_index
from shapecnn.search.neighbours import search_views
from shapecnn.search.plan import IndexPlan
from shapecnn.search.query import Searcher
from shapecnn.search.update import bring_up_to_date
from shapecnn.settings.views_and_grids import ViewSettings

FORMS = {
    "full": Form(),
    "small": Form("small"),
    "full, no pictures": Form(pictures=False),
    "small, no pictures": Form("small", pictures=False),
}


def main() -> None:
    options = arguments(__doc__ or "", shapes=300)
    psb = options.data / "psb.zip"
    model = UntrainedModel.of(up="y")
    figures: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        meshes = unpacked(psb, Path(scratch) / "meshes", options.shapes)
        pictures: NDArray[np.float32] | None = None
        for number, (name, form) in enumerate(FORMS.items()):
            folder = Path(scratch) / str(number)
            if number:  # the features are taken from the first index
                shutil.copytree(Path(scratch) / "0", folder)
            bring_up_to_date(meshes, folder, replace(IndexPlan.of(model, up="y"), chosen=form), device="cpu")
            index = read_index(folder)
            searcher = Searcher(index, model, "cpu")
            similarity, rows = searcher.compared()
            labels = np.array([shape.label for shape in index.shapes])
            size = sum(path.stat().st_size for path in folder.iterdir())
            figures[name] = {"bytes": size / len(index.shapes), "mAP": mean_precision(similarity(rows, rows), labels)}
            if index.views is not None:
                pictures = halfway(searcher) if pictures is None else pictures
                figures[name] |= found(index, pictures, labels)
            print(name, figures[name], flush=True)
    shown = [(name, *(f"{value:.4g}" for value in each.values())) for name, each in figures.items()]
    print(table(("rows", "bytes", "mAP"), [each[:3] for each in shown]))
    save(options.json, {"shapes": len(labels), "rows": figures}, [psb])


def halfway(searcher: Searcher) -> NDArray[np.float32]:
    """A feature for each shape: of its first view, drawn with the mesh turned by half the angle between two views."""
    drawing = searcher.model.input.drawing()
    assert isinstance(drawing, ViewSettings)
    angle = np.pi / drawing.views
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    drawn = []
    for shape in searcher.index.shapes:
        mesh = load_mesh(Path(shape.path), "y")
        drawn.append(searcher.model.input.draw(replace(mesh, vertices=mesh.vertices @ turn.T))[0])
    return searcher._picture_features(drawn, drawing.views)


def found(index: Index, pictures: NDArray[np.float32], labels: NDArray[np.str_]) -> dict[str, float]:
    own, similarity = [], np.zeros((len(pictures), len(pictures)))
    places = {shape.id: row for row, shape in enumerate(index.shapes)}
    for row, hits in enumerate(search_views(index, pictures, len(pictures))):
        own.append(hits[0].shape.id == index.shapes[row].id)
        similarity[row, [places[hit.shape.id] for hit in hits]] = [hit.score for hit in hits]
    return {"own": float(np.mean(own)), "class": mean_precision(similarity, labels)}


if __name__ == "__main__":
    main()
