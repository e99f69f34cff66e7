"""Answer the requests of the page: search, classify and draw. Meshes are read in worker processes only.

All methods block, so the application calls them in threads.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from shapecnn.api.records import answer_record, explanation_record, prediction_record
from shapecnn.artefacts.prepare import encode_png
from shapecnn.errors import ItemError, UsageError
from shapecnn.explanation import explain_meshes
from shapecnn.predict import Predictor
from shapecnn.search.answers import Answer
from shapecnn.search.index import IndexedShape
from shapecnn.search.pictures import PictureFile
from shapecnn.search.query import Searcher, require_views
from shapecnn.settings.views_and_grids import Up, ViewSettings
from shapecnn.views import contact_sheet
from shapecnn.web.about import about, explains
from shapecnn.web.catalogue import Catalogue
from shapecnn.web.files import CollectionMesh, ModelTask, ThumbnailTask, UploadedMesh, ViewsTask, to_glb, to_views
from shapecnn.web.limits import Limits, RefusedError
from shapecnn.web.pictures import shown_settings, thumbnail_task
from shapecnn.web.queries import Queries, Query, new_name, short_name
from shapecnn.workers import pool

Task = TypeVar("Task")
Result = TypeVar("Result")


class Desk:
    """Answers requests about one index.

    Args:
        searcher: The index, with the model that computed its features.
        predictor: Run that classifies meshes; None to show the most similar shapes only.
        name: Name of the index, without its folder.
        limits: Limits of one upload.

    Attributes:
        stamp: Random name of this server, for pictures that the browser keeps.
    """

    def __init__(self, searcher: Searcher, predictor: Predictor | None, name: str, limits: Limits) -> None:
        self.searcher, self.predictor, self.name, self.limits = searcher, predictor, name, limits
        self.index, self.stamp = searcher.index, secrets.token_hex(4)
        self.catalogue = Catalogue(self.index.shapes)
        self._queries = Queries()
        self._loading, self._loaded = threading.Lock(), False

    @property
    def takes_pictures(self) -> bool:
        """Whether the index can be searched with pictures."""
        try:
            require_views(self.index, self.searcher.model, self.name)
        except UsageError:
            return False
        return True

    def about(self) -> dict[str, Any]:
        """Return what the page says about the index and the run."""
        model = None if self.predictor is None else self.predictor.model
        asked = {"classes": self.catalogue.counts(), "pictures": self.takes_pictures}
        return about(self.name, self.index, model) | asked | {"most_bytes": self.limits.upload, "stamp": self.stamp}

    def warm(self) -> None:
        """Load the networks, unless they are loaded; every method that needs one waits for this.

        Networks are loaded one after the other: torch cannot convert two at a time in one process.
        """
        with self._loading:
            if not self._loaded:
                self._load()
                self._loaded = True

    def _load(self) -> None:
        self.searcher.prepare()  # a search with a shape of the collection needs this only
        corners = np.array([(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)], np.float64)
        tetrahedron = corners, np.array([(0, 2, 1), (0, 1, 3), (0, 3, 2), (1, 2, 3)])
        self.searcher.query([tetrahedron], k=1)
        if self.predictor is not None:
            self.predictor.predict([tetrahedron])

    def upload_mesh(self, name: str, data: bytes, up: Up | None) -> Query:
        """Read an uploaded mesh, and compute its feature.

        Args:
            name: Name of the file; its extension decides the format.
            data: Content of the file.
            up: Axis of the file that points up; None for that of the index.

        Raises:
            ItemError: The file cannot be used as a mesh.
        """
        up = up or self.index.record.up
        mesh = UploadedMesh(short_name(name), data)
        self.warm()
        (feature,) = self.searcher.encode([mesh], up=up)
        if isinstance(feature, ItemError):
            raise feature
        return self._queries.add(Query(new_name(), "mesh", mesh.title, up, feature, mesh))

    def upload_picture(self, name: str, data: bytes) -> Query:
        """Read an uploaded picture, and compute its feature.

        Raises:
            RefusedError: The index cannot be searched with pictures.
            ItemError: The file cannot be used as a picture.
        """
        if not self.takes_pictures:
            raise RefusedError(
                400, "pictures", "This index has no features of single views, so no picture can be compared."
            )
        self.warm()
        (encoded,) = self.searcher.encode_pictures([PictureFile(short_name(name), data)])
        if isinstance(encoded, ItemError):
            raise encoded
        up = self.index.record.up
        return self._queries.add(
            Query(new_name(), "picture", short_name(name), up, encoded.feature, picture=encoded.picture)
        )

    def query(self, name: str) -> Query:
        """Return a query by its name.

        Raises:
            RefusedError: There is no such query, or it is not kept any more.
        """
        if known := self.known(name):
            return known
        raise RefusedError(404, "missing", "The server does not keep this query any more: open the file again.")

    def known(self, name: str) -> Query | None:
        """Return a query by its name; None if there is no such query, or it is not kept any more."""
        if (kept := self._queries.get(name)) is not None:
            return kept
        number = name.removeprefix("shape-")
        if number.isascii() and number.isdigit() and len(number) < 10 and name == f"shape-{int(number)}":
            shape = self.shape(row := int(number))
            mesh = CollectionMesh(shape.source, shape.sha256)
            feature = np.array(self.index.features[row])
            return self._queries.add(Query(name, "shape", shape.id, self.index.record.up, feature, mesh))
        return None

    def forget(self, name: str) -> bool:
        """Forget a query; return whether it was kept."""
        return self._queries.remove(name)

    def shape(self, row: int) -> IndexedShape:
        """Return a shape of the index by its row.

        Raises:
            RefusedError: There is no such row.
        """
        if not 0 <= row < len(self.index.shapes):
            raise RefusedError(
                404, "missing", f"The index has no shape {row}: it has {len(self.index.shapes)}, from 0."
            )
        return self.index.shapes[row]

    def results(self, query: Query, k: int, label: str | None = None) -> dict[str, Any]:
        """Return the shapes most similar to a query, as ``shapecnn query --json`` does, each also with its row.

        Args:
            query: The query.
            k: Largest number of shapes.
            label: Class to search; None for all shapes.
        """
        among = None if label is None else self.catalogue.rows(label)
        hits = []
        if among is None or len(among):
            search = self.searcher.nearest if query.picture is None else self.searcher.nearest_views
            (hits,) = search(query.feature[None], k, among) if self.index.shapes else ([],)
        safe = [replace(hit, shape=replace(hit.shape, path=hit.shape.id)) for hit in hits]  # no folder of this machine
        return answer_record(Answer(query.name, query.up, safe))

    def prediction(self, query: Query) -> dict[str, Any]:
        """Return the classes of a query mesh, as ``shapecnn predict --json`` does.

        Raises:
            RefusedError: There is no run, or the query is a picture.
            ItemError: The mesh cannot be used any more.
        """
        predictor, mesh = self.predictor, self._mesh(query)
        if predictor is None:
            raise RefusedError(404, "no-run", "No run classifies the shapes: start the server with --model RUN.")

        def compute() -> dict[str, Any]:
            self.warm()
            (prediction,) = predictor.predict([mesh], up=query.up)
            if prediction.error is not None:
                raise prediction.error
            return prediction_record(prediction)

        return self._once(query, "prediction", compute)

    def explanation(self, query: Query) -> dict[str, Any]:
        """Return how much each view speaks for the class of a mesh, as ``shapecnn explain --json`` does.

        Raises:
            RefusedError: There is no run that can be explained, or the query is a picture.
            ItemError: The mesh cannot be used any more.
        """
        predictor, mesh = self.predictor, self._mesh(query)
        if predictor is None or not explains(predictor.model):
            raise RefusedError(
                404, "no-run", "No run with views explains the shapes: start the server with --model RUN."
            )

        def compute() -> dict[str, Any]:
            self.warm()
            limits = self.limits.workers
            (explained,) = explain_meshes(predictor.model, [mesh], up=query.up, device=predictor.device, workers=limits)
            if isinstance(explained, ItemError):
                raise explained
            return explanation_record(query.name, explained)

        return self._once(query, "explanation", compute)

    def model(self, query: Query) -> bytes:
        """Return a query mesh as a GLB file.

        Raises:
            RefusedError: The query is a picture.
            ItemError: The mesh cannot be used any more.
        """
        mesh = self._mesh(query)
        return self._once(query, "model", lambda: self._work(to_glb, ModelTask(mesh, query.up)))

    def views(self, query: Query) -> NDArray[np.uint8]:
        """Return the V views of a query, (V, S, S) uint8 of S × S pixels; of a picture, the picture that was compared.

        Raises:
            ItemError: The mesh cannot be used any more.
        """
        if query.picture is not None:
            return query.picture[None]
        mesh, settings = self._mesh(query), self.view_settings().model_copy(update={"up": query.up})
        return self._once(query, "views", lambda: self._work(to_views, ViewsTask(mesh, settings)))

    def sheet(self, query: Query) -> bytes:
        """Return all views of a query as one PNG, row by row; the errors are those of :meth:`views`."""
        return encode_png(contact_sheet(self.views(query)))

    def view(self, query: Query, number: int) -> bytes:
        """Return one view of a query as a PNG.

        Raises:
            RefusedError: There is no view of this number.
            ItemError: The mesh cannot be used any more.
        """
        views = self.views(query)
        if not 0 <= number < len(views):
            raise RefusedError(404, "missing", f"There is no view {number}: the query has {len(views)}, from 0.")
        return encode_png(views[number])

    def view_settings(self) -> ViewSettings:
        """Return the settings of the views on the page: those of the run, else those of the index, but smaller."""
        models = [self.searcher.model] if self.predictor is None else [self.predictor.model, self.searcher.model]
        return shown_settings(models, self.index.record.orientation)

    def thumbnail_task(self, row: int) -> ThumbnailTask:
        """Return what to draw as the thumbnail of a shape of the index, by its row."""
        self.shape(row)
        return thumbnail_task(self.index, row)

    def _mesh(self, query: Query) -> UploadedMesh | CollectionMesh:
        if query.mesh is None:
            raise RefusedError(404, "picture", "The query is a picture, which has no mesh.")
        return query.mesh

    def _once(self, query: Query, name: str, compute: Callable[[], Result]) -> Result:
        """Return a result of a query, which is computed at the first call; the application asks once at a time."""
        if name not in query.kept:
            query.kept[name] = compute()
            self._queries.resized(query)
        result: Result = query.kept[name]
        return result

    def _work(self, function: Callable[[Task], Result], task: Task) -> Result:
        """Call a function in a worker process.

        Raises:
            ItemError: The call failed.
        """
        with closing(pool.run(function, [task], replace(self.limits.workers, count=1))) as outcomes:
            ((_, outcome),) = outcomes
        if isinstance(outcome, ItemError):
            raise outcome
        return outcome
