"""Names that mean harm, or something to shapecnn: of the files and folders of a collection, and as they are shown."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import unicodedata
from collections.abc import Iterable
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from hypothesis import strategies as st

from shapecnn.artefacts.manifest import MANIFEST, Entry, artefact_files, artefact_stems, read_manifest
from shapecnn.artefacts.prepare import Recipe, prepare_collection
from shapecnn.cli.console import emit, say
from shapecnn.duplicates.results import Audit, Group, Member
from shapecnn.errors import ShapecnnError
from shapecnn.evaluation.classification import classify
from shapecnn.meshes.collection import list_shapes
from shapecnn.report.audit import write_audit
from shapecnn.report.figures import confusion_matrix
from shapecnn.settings.views_and_grids import ViewSettings
from shapecnn.storage.sealed import open_sealed
from shapecnn.workers.pool import Workers
from tests.fuzz.checks import refused, require
from tests.fuzz.seeds import PYRAMID

_OWN = [
    b"manifest.parquet", b"settings.json", b"SHA256SUMS", b"index.json", b"model.json", b"shapes.parquet", b"resume",
    b"a", b"b", b"a.png", b"a.off", b"a.png.off", b"a.off.png", b"train", b"test", b"Train", b".partial", b".publish",
    b".lock", b".publish.tmp", b"tensorboard",
]  # fmt: skip
_PIECES = [
    "=cmd|' /C calc'!A0", "=", "+1", "-1", "@SUM(A1)", "\t", "\n", "\r", "\r\nError: ", "\x1b[2J", "\u202e", "\u2066",
    "\x85", "\u2028", "\x9b", "\x07", "\udcff", "</td><script>alert(1)</script>", "<b>", '"', "'", "&", "]]>", "$x^2$",
    "\\n", ",", "{{ 7 * 7 }}", "a",
]  # fmt: skip

WRITTEN = st.binary(min_size=1, max_size=250).map(lambda name: re.sub(rb"[/\0]", b"_", name))
"""What a file may be called."""

TEXTS = st.lists(st.sampled_from(_PIECES) | st.text(max_size=3), min_size=1, max_size=4).map("".join)
"""Names as they come from file systems, CSV files and other people's tables."""

SHOWN = st.tuples(st.lists(TEXTS, min_size=1, max_size=3), st.sampled_from([False] * 9 + [True]))

OWN_NAMES = st.lists(st.lists(st.sampled_from(_OWN) | WRITTEN, min_size=1, max_size=3), min_size=1, max_size=5)
"""Paths of meshes, of which each part may be that of a file of shapecnn's own, or of another's artefact."""

_RECIPE = Recipe(ViewSettings(size=8, samples=1))


def draw_names(names: list[list[bytes]], folder: Path) -> str:
    """Meshes of these names: drawn, all of them, or refused before anything is written; and not drawn again."""
    meshes, out = folder / "meshes", folder / "out"
    meshes.mkdir()
    for parts in names:
        path = meshes.joinpath(*map(os.fsdecode, parts[:-1]), os.fsdecode(parts[-1][:246] + b".off"))
        with contextlib.suppress(OSError):  # a file where a folder should be, or a name that is . or ..
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(PYRAMID)
    try:
        done = prepare_collection(meshes, out, _RECIPE, command="shapecnn …", workers=Workers(1))
    except ShapecnnError as error:
        require(not out.exists(), "it was refused, and after something was written")
        return refused(error)
    shapes = list_shapes(meshes)
    entries, sealed = read_manifest(out), open_sealed(out, "")
    require([entry.id for entry in entries] == [shape.id for shape in shapes], "the manifest has other shapes")
    lost = [entry.error for entry in entries if entry.error and not entry.error.startswith("the name is too long")]
    require(not lost, f"sound meshes are lost: {lost}")
    for entry, stem in zip(entries, artefact_stems([entry.id for entry in entries]), strict=True):
        if entry.status == "ok":
            for name in artefact_files(_RECIPE.to_json(), stem):
                sealed.check(name)
    again = prepare_collection(meshes, out, _RECIPE, command="shapecnn …", workers=Workers(1))
    require((again.written, again.skipped) == (0, done.written), f"{again.written} were drawn again")
    require(sealed.sums == open_sealed(out, "").sums, f"another {MANIFEST} than before")
    return "read"


def show_names(drawn: tuple[list[str], bool], folder: Path) -> str:
    """Shapes and classes of these names in text, JSON, CSV, HTML and perhaps SVG, which takes long: each line stays
    one, and nothing is run."""
    names, drawing = drawn
    said, answered = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(answered), contextlib.redirect_stderr(said):
        emit(names, False, names)
        say(f"Failed: {names[0]}")
    require(len(answered.getvalue().split("\n")) == len(names) + 1, "one name is two lines")
    require(len(said.getvalue().split("\n")) == 2, "one name is two lines")
    with contextlib.redirect_stdout(answered):
        emit(names, True)
    _require_plain(answered.getvalue())
    require(answered.getvalue().isascii() or answered.getvalue().splitlines()[-1].isascii(), "JSON of another kind")

    _audit(names, folder / "names")
    _audit([f"x{names.index(name)}" for name in names], folder / "plain")  # alike where these are
    page = (folder / "names" / "audit.html").read_text("utf-8")
    _require_plain(page)
    require(_tags(page) == _tags((folder / "plain" / "audit.html").read_text("utf-8")), "a name is markup")
    json.loads((folder / "names" / "audit.json").read_bytes())
    table = (folder / "names" / "audit.csv").read_text("utf-8")
    _require_plain(table)
    rows = list(csv.reader(io.StringIO(table)))
    require({len(row) for row in rows} == {9}, "a name is several cells")
    run = [cell for row in rows for cell in row if cell[:1] in ("=", "+", "-", "@")]
    require(not run, f"a spreadsheet would run {run}")

    if drawing:
        classes = sorted(set(names))
        scores = np.full((len(classes), len(classes)), 1 / len(classes), np.float32)
        svg = confusion_matrix(classify(classes, scores, classes), names[0])
        _require_plain(svg.decode())
        ElementTree.fromstring(svg)
    return "read"


def _audit(names: list[str], folder: Path) -> None:
    entries = [Entry(f"{name}/{k}.off", name, None, "0" * 64, "ok", None) for k, name in enumerate(names)]
    failed = [Entry(f"{names[-1]}.off", names[-1], None, None, "failed", f"{names[0]} is empty")]
    members = [Member(entry, None) for entry in entries]
    audit = Audit(names[0], "meshes", entries + failed, {}, [Group("content", members)], [], None, 0.0)
    write_audit(folder, audit, lambda _: [], lambda entry: Path(entry.id))


def _require_plain(text: str) -> None:
    """Raise a Finding for what ends a line, moves a cursor, turns text or is half a character, in any line of it."""
    raw = {
        letter
        for letter in text
        if letter != "\n"
        and (
            unicodedata.category(letter) in ("Cc", "Zl", "Zp", "Cs")
            or unicodedata.bidirectional(letter) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
        )
    }
    require(not raw, f"these stand as they are: {sorted(raw)!a}")


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, list[str]]] = []

    def handle_starttag(self, tag: str, attrs: Iterable[tuple[str, str | None]]) -> None:
        self.found.append((tag, [name for name, _ in attrs]))


def _tags(page: str) -> list[tuple[str, list[str]]]:
    parser = _Tags()
    parser.feed(page)
    return parser.found
