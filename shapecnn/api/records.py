"""The JSON objects in which answers are printed by ``--json`` and served by the web application, the same in both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shapecnn.errors import ItemError
    from shapecnn.explanation import Explanation
    from shapecnn.predict import Prediction
    from shapecnn.search.answers import Answer
    from shapecnn.search.neighbours import Hit

SCHEMA_VERSION = 1


def failure_record(path: str, error: ItemError) -> dict[str, Any]:
    """Return the JSON object for an input file that could not be used.

    Args:
        path: Path of the file as the user gave it.
        error: Cause of the failure.

    Returns:
        Object with ``schema_version``, ``path`` and ``error``, which holds the ``kind`` and ``message`` of the error.
    """
    return {"schema_version": SCHEMA_VERSION, "path": path, "error": {"kind": error.kind, "message": str(error)}}


def hit_record(hit: Hit) -> dict[str, Any]:
    """Return the JSON object for one result of a search."""
    found = {"id": hit.shape.id, "path": hit.shape.path, "label": hit.shape.label, "score": hit.score}
    return found | ({} if hit.view is None else {"view": hit.view})


def answer_record(answer: Answer) -> dict[str, Any]:
    """Return the JSON object for the answer to one query."""
    if answer.error is not None:
        return failure_record(answer.path, answer.error)
    results = [hit_record(hit) for hit in answer.hits]
    return {"schema_version": SCHEMA_VERSION, "query": answer.path, "results": results}


def prediction_record(prediction: Prediction) -> dict[str, Any]:
    """Return the JSON object for the predicted class or quantity of one mesh."""
    if prediction.error is not None:
        return failure_record(prediction.path, prediction.error)
    quantity = {} if prediction.target is None else {"target": prediction.target, "value": prediction.value}
    near = prediction.evidence
    return {
        "schema_version": SCHEMA_VERSION,
        "path": prediction.path,
        "label": prediction.label,
        "score": prediction.score,
        "top": [candidate._asdict() for candidate in prediction.top],
        "alternative": prediction.alternative,
        **quantity,
        "unknown": prediction.unknown,
        "familiarity": prediction.familiarity,
        "threshold": prediction.threshold,
        "evidence": None if near is None else [neighbour._asdict() for neighbour in near],
    }


def explanation_record(path: str, explanation: Explanation | ItemError, page: str | None = None) -> dict[str, Any]:
    """Return the JSON object for the explanation of one predicted class.

    Args:
        path: Path of the mesh file as the user gave it.
        explanation: The explanation, or the error if the mesh cannot be used.
        page: Path of the HTML page that shows the explanation; None if there is none.
    """
    from shapecnn.errors import ItemError

    if isinstance(explanation, ItemError):
        return failure_record(path, explanation)
    label, score = explanation.ranked[0]
    views = [
        {**row, "share": round(row["share"], 6), "contribution": round(row["contribution"], 6)}
        for row in explanation.view_rows()
    ]
    return {
        "schema_version": SCHEMA_VERSION,
        "path": path,
        "label": label,
        "score": round(score, 6),
        "class": explanation.asked or label,
        "views": views,
        "page": page,
    }
