"""File names that collide with those of shapecnn, and names that forge lines of the output."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from rows import Row
from running import Command, require
from subjects import Workshop

_COLLIDING = (
    ("c/a.off", "c/a.png/b.off"),
    *((f"{name}/a.off", "c/b.off") for name in ("manifest.parquet", "settings.json", "SHA256SUMS", "index.json")),
    ("model.json/a.off", "c/b.off"),
)
_FORGED = "=cmd\nError: forged\x1b[2J\u202egpj"
_RAW = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def rows(shop: Workshop, _kills: int) -> Iterator[Row]:
    """Yield one row for collisions and one for forgery; neither is random, so one try each suffices."""
    yield Row(
        "names that collide",
        "a.off beside a folder a.png; classes called as each of shapecnn's own files",
        "render",
        "one sentence, before any work",
        [partial(_collide, shop, names) for names in _COLLIDING],
    )
    yield Row(
        "names that forge",
        "a class and a mesh whose names begin with = and hold a line end, an escape sequence and a directional mark",
        "render, train, eval, audit, index, query, predict",
        "shown escaped in text, JSON, CSV, SVG and HTML; no line is forged, no cell a formula",
        [partial(_forge, shop)],
    )


def _collide(shop: Workshop, names: tuple[str, ...], _: np.random.Generator, folder: Path) -> str:
    mesh, meshes, out = min(shop.meshes.rglob("*.off")), folder / "meshes", folder / "out"
    for name in names:
        (meshes / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(mesh, meshes / name)
    Command(["render", str(meshes), str(out), "--size", "32"], out, folder / "scratch").wait().sentence(2)
    require(not out.exists(), "files were written before the refusal")
    return "told"


def _forge(shop: Workshop, _: np.random.Generator, folder: Path) -> str:
    meshes, views, run, index = (folder / name for name in ("meshes", "views", "run", "index"))
    forged = shutil.copytree(min(shop.meshes.iterdir()), meshes / _FORGED)
    shutil.copytree(max(shop.meshes.iterdir()), meshes / "other")
    mesh = shutil.copy(min(forged.rglob("*.off")), forged / f"{_FORGED}.off")
    (broken := forged / f"broken {_FORGED}.off").touch()
    report, pages = folder / "report", [folder / "page.html", folder / "why.html"]
    config = str(shop.folder / "train in closed form.yaml")
    for words in (
        ["render", str(meshes), str(views), "--size", "32", "--failures", str(folder / "failed.csv")],
        ["train", config, "--data", str(views), "--out", str(run)],
        ["eval", str(run), "--data", str(views), "--out", str(report)],
        ["audit", str(views), "--out", str(folder / "audit")],
        ["index", str(meshes), str(index), "--model", str(run)],
        ["query", str(index), str(mesh), str(broken), "--html", str(pages[0])],
        ["explain", str(run), str(mesh), str(broken), "--html", str(pages[1])],
        ["predict", str(run), str(mesh), str(broken)],
        ["predict", str(run), str(mesh), str(broken), "--json"],
    ):
        ended = Command(words, folder / "none", folder / "scratch").wait()
        require(
            ended.status in (0, 1) and ended.stdout, f"{words[0]} ended with {ended.status}: {ended.stderr[-300:]!r}"
        )
        _require_plain(ended.stdout + ended.stderr, words[0])
        if words[-1] == "--json":
            json.loads(ended.stdout)
    written = [path for place in (report, folder / "audit") for path in place.iterdir()]
    kinds = {".html": 0, ".svg": 0, ".csv": 0}
    for path in [*written, *pages, folder / "failed.csv"]:
        if path.suffix in kinds:
            kinds[path.suffix] += 1
            text = path.read_text("utf-8")
            _require_plain(text, path.name)
            if path.suffix == ".svg":
                ElementTree.fromstring(text)
            if path.suffix == ".csv":
                cells = [cell for row in csv.reader(text.splitlines()) for cell in row]
                require(not [cell for cell in cells if cell[:1] in ("=", "@", "\t")], f"{path.name} holds a formula")
    require(all(kinds.values()), f"a kind of file is missing: {kinds}")
    return "shown escaped"


def _require_plain(text: str, where: str) -> None:
    require(not _RAW.search(text), f"{where}: control characters of a name are not escaped")
    require(not re.search("^Error: forged", text, re.MULTILINE), f"{where}: a name forges a line")
