"""The JSON values of the web application, as pydantic models: its OpenAPI description is made from them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class Value(BaseModel):
    """Base class of all JSON values."""

    model_config = ConfigDict(frozen=True)


class ClassCount(Value):
    """A class of the collection, and how many shapes it has."""

    label: str
    count: int


class About(Value):
    """The index, its model and the run that classifies shapes."""

    schema_version: Literal[1]
    index: str
    model: str
    up: Literal["x", "y", "z"] = Field(description="axis that points up in the mesh files of the collection")
    shapes: int
    classes: list[ClassCount]
    pictures: bool = Field(description="whether the index can be searched with pictures")
    run: str | None = Field(description="run that classifies shapes; null if there is none")
    run_classes: int
    explains: bool = Field(description="whether the run can say which views spoke for a class")
    views: int = Field(description="number of views of a mesh")
    view_columns: int = Field(description="number of views in a row of views.png")
    most_bytes: int = Field(description="largest size of an upload")
    stamp: str = Field(description="random name of this server; with of=STAMP, the browser keeps a picture for an hour")


class ListedShape(Value):
    """A shape of the collection."""

    row: int = Field(description="number of the shape in the index, from 0")
    id: str
    label: str | None
    split: str | None


class Listing(Value):
    """A part of the list of shapes."""

    schema_version: Literal[1]
    total: int = Field(description="number of shapes that fit the filter")
    shapes: list[ListedShape]


class QueryRecord(Value):
    """A query that the server keeps."""

    schema_version: Literal[1]
    query: str = Field(description="name of the query in the addresses of its results")
    kind: Literal["mesh", "picture", "shape"]
    name: str
    label: str | None = Field(description="class of a shape of the collection; null for an upload")
    up: Literal["x", "y", "z"]


class Hit(Value):
    """A result, as in `shapecnn query --json`; `path` is the id, because folders of the server are not told."""

    id: str
    path: str
    label: str | None
    score: float
    view: Annotated[int | None, Field(description="for a picture: number of the most similar view")] = None
    row: int


class Results(Value):
    """The shapes most similar to a query, best first, as in `shapecnn query --json`."""

    schema_version: Literal[1]
    query: str
    results: list[Hit]


class Candidate(Value):
    """A class and its probability."""

    label: str
    score: float


class Neighbour(Value):
    """A training shape that is similar to the mesh."""

    id: str
    label: str
    similarity: float


class PredictionRecord(Value):
    """The classes of a mesh, as in `shapecnn predict --json`."""

    schema_version: Literal[1]
    path: str
    label: str | None
    score: float | None
    top: list[Candidate]
    alternative: str | None
    unknown: bool | None
    familiarity: float | None
    threshold: float | None
    evidence: list[Neighbour] | None
    target: str | None = None
    value: float | None = None


class ViewRow(Value):
    """How much one view speaks for the class."""

    view: int
    azimuth: float
    elevation: float | None
    share: float
    contribution: float


class ExplanationRecord(Value):
    """Which views spoke for the class of a mesh, as in `shapecnn explain --json`."""

    schema_version: Literal[1]
    path: str
    label: str
    score: float
    asked: str = Field(alias="class")
    views: list[ViewRow]
    page: None


class MapState(Value):
    """State of the map of the collection."""

    schema_version: Literal[1]
    state: Literal["absent", "computing", "ready", "failed"]
    seconds: float = Field(description="time since the computation began; 0 if it has not")
    message: str | None
    families: int = Field(description="number of groups of similar shapes")
    sheet: int = Field(description="shapes on a side of a sheet of thumbnails")
    thumbnail: int = Field(description="width and height of a thumbnail, in pixels")


class ErrorText(Value):
    """What is wrong, and what to do."""

    kind: str
    message: str


class ErrorRecord(Value):
    """A request that could not be answered."""

    schema_version: Literal[1]
    path: str | None = None
    error: ErrorText
