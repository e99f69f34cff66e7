"""Similarity search: store the features of a collection in an index, and find the shapes most similar to a query.

Queries are meshes or photographs. :mod:`plan` chooses the model and the settings of an index. :mod:`update` builds or
updates an index, and :mod:`index` reads an index. :mod:`record` identifies and reopens the model of an index.
:mod:`query` searches an index.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shapecnn.shared.exports import lazy_exports

if TYPE_CHECKING:
    from shapecnn.search.changes import IndexChanges as IndexChanges
    from shapecnn.search.index import Index as Index
    from shapecnn.search.index import read_index as read_index
    from shapecnn.search.neighbours import Hit as Hit
    from shapecnn.search.plan import IndexPlan as IndexPlan
    from shapecnn.search.plan import IndexRequest as IndexRequest
    from shapecnn.search.plan import plan_index as plan_index
    from shapecnn.search.query import Answer as Answer
    from shapecnn.search.query import Answers as Answers
    from shapecnn.search.query import Searcher as Searcher
    from shapecnn.search.record import ModelRecord as ModelRecord
    from shapecnn.search.update import bring_up_to_date as bring_up_to_date

_HOMES = {
    "changes": ["IndexChanges"],
    "index": ["Index", "read_index"],
    "neighbours": ["Hit"],
    "plan": ["IndexPlan", "IndexRequest", "plan_index"],
    "query": ["Answer", "Answers", "Searcher"],
    "record": ["ModelRecord"],
    "update": ["bring_up_to_date"],
}

if not TYPE_CHECKING:  # a type checker that saw __getattr__ would accept any name
    __all__, __getattr__, __dir__ = lazy_exports(__name__, _HOMES)
