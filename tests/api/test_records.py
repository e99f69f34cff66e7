"""JSON records of results and failures."""

from __future__ import annotations

from shapecnn.api.records import failure_record
from shapecnn.errors import MeshError


def test_a_failure_has_its_kind() -> None:
    error = {"kind": "missing", "message": "there is no such file"}
    assert failure_record("a.off", MeshError("missing", "there is no such file")) == {
        "schema_version": 1,
        "path": "a.off",
        "error": error,
    }
