"""Paths of suggested outputs: beside the input, and nothing of others is in their place."""

from __future__ import annotations

from pathlib import Path

import pytest

from shapecnn.cli.free_paths import beside, free_file, free_report


def test_folders_are_put_beside() -> None:
    assert beside(Path("a/views"), "run") == "a/views-run"
    assert beside(Path("a/all.zip"), "views") == "a/all-views"
    assert beside(Path("a/v1.2"), "run") == "a/v1.2-run"


def test_files_of_others_are_not_advised_to_be_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert (free_file("why.html"), free_report(Path("run"), "report")) == ("why.html", "run-report")
    Path("why.html").write_text("mine")
    Path("why-2.html").write_text("mine")
    Path("run-report").mkdir()
    Path("run-report/evaluation.json").write_text("mine")
    assert (free_file("why.html"), free_report(Path("run"), "report")) == ("why-3.html", "run-report-2")
    Path("v1.2-report").mkdir()
    Path("v1.2-report/evaluation.json").write_text("mine")
    assert free_report(Path("v1.2"), "report") == "v1.2-report-2"
