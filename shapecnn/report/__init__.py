"""Write the results of a command as reports: HTML pages, plots and tables.

Input: an evaluation, a comparison, an audit, explanations or answers to queries. Output: an HTML page that needs no
other file, SVG and PNG plots, and JSON and CSV files in the folder of the report. Each kind of result has a module:
:mod:`evaluation`, :mod:`comparison`, :mod:`audit`, :mod:`explanation`, :mod:`filters`, :mod:`ladder` and :mod:`pages`
(answers to queries). :mod:`html` fills in the HTML templates, which extend ``base.html`` and share one style sheet
(``tokens.css`` and ``page.css``) and one script (``page.js``). :mod:`charts` lays out the charts of the pages,
:mod:`figures` and :mod:`reliability` draw the plots beside them with matplotlib. :mod:`drawings`, :mod:`thumbnails` and
:mod:`grids` draw shapes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shapecnn.shared.exports import lazy_exports

if TYPE_CHECKING:
    from shapecnn.report.audit import write_audit as write_audit
    from shapecnn.report.comparison import write_comparison as write_comparison
    from shapecnn.report.drawings import Drawing as Drawing
    from shapecnn.report.drawings import draw_meshes as draw_meshes
    from shapecnn.report.evaluation import write_report as write_report
    from shapecnn.report.explanation import explanation_page as explanation_page
    from shapecnn.report.grids import draw_grid as draw_grid
    from shapecnn.report.pages import query_page as query_page

_HOMES = {
    "audit": ["write_audit"],
    "comparison": ["write_comparison"],
    "drawings": ["Drawing", "draw_meshes"],
    "evaluation": ["write_report"],
    "explanation": ["explanation_page"],
    "grids": ["draw_grid"],
    "pages": ["query_page"],
}

if not TYPE_CHECKING:  # a type checker would accept any name
    __all__, __getattr__, __dir__ = lazy_exports(__name__, _HOMES)
