"""Generate the tables of README.md and ``docs/`` from ``results/``, and the pages of reference.

``docs/commands.md`` comes from ``--help``, ``docs/python.ipynb`` from ``docs/python.md``, and the pages of
``docs/reference/`` from the JSON schemas, the docstrings and the configs.

    python scripts/documents.py [--check]

A table stands between ``<!-- table: NAME -->`` and ``<!-- /table -->``. With ``--check`` nothing is written, and the
exit status is 1 if a document is not current.
"""

from __future__ import annotations

import ast
import json
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import click
from config_reference import config_reference
from python_reference import python_reference
from schema_reference import schema_reference

from shapecnn.cli.main import cli
from shapecnn.information.figures import figure_title
from shapecnn.ladder.inputs import INPUTS
from shapecnn.ladder.rungs import RUNGS

ROOT = Path(__file__).resolve().parent.parent
_BLOCK = re.compile(r"(<!-- table: ([\w-]+)(?: of ([\w-]+))? -->\n).*?(<!-- /table -->)", re.DOTALL)


def rendering(record: dict[str, Any]) -> str:
    rows = record["figures"]["rows"]
    slowest = rows[-1]  # pyrender: the reference for the renderers that drew the same meshes
    names = {
        "raster": "shapecnn's rasterizer",
        "open3d": "Open3D (Embree)",
        "pyrender": "pyrender (OpenGL in software)",
    }
    lines = [
        [
            names[row["renderer"]],
            row["meshes"],
            row["samples"] ** 2,
            f"{row['meshes_per_second']:.0f}",
            f"{row['meshes_per_second'] / slowest['meshes_per_second']:.0f} ×"
            if row["meshes"] == slowest["meshes"]
            else "",
        ]
        for row in rows
    ]
    return _markdown(
        ["renderer, 12 views of 224 px", "meshes of `psb`", "samples per pixel", "meshes/s", "speed-up"], lines
    )


def voxels(record: dict[str, Any]) -> str:
    names = {"open3d": "Open3D"}
    lines = [
        [
            names.get(row["voxelizer"], row["voxelizer"]),
            row["computes"],
            row["meshes"],
            f"{row['meshes_per_second']:.0f}",
        ]
        for row in record["figures"]["rows"]
    ]
    return _markdown(["voxelizer, 30³ grid, one core", "result", "meshes of `psb`", "meshes/s"], lines)


def readers(record: dict[str, Any]) -> str:
    lines = [
        [
            row["format"],
            row["meshes"],
            row["reader"],
            f"{row['megabytes_per_second']:.0f}",
            f"{row['meshes_per_second']:.0f}",
            f"{row['times_ours']:.1f} ×",
        ]
        for row in record["figures"]["rows"]
    ]
    return _markdown(["format, one core", "meshes of `psb`", "reader", "MB/s", "meshes/s", "relative time"], lines)


def commands(record: dict[str, Any]) -> str:
    lines = [
        [
            f"`{row['command']}`",
            row["collection"],
            row["meshes"],
            row["failed"],
            f"{row['seconds']:.1f} s",
            f"{row['peak_mb']} MB",
        ]
        for row in record["figures"]["rows"]
        if row["meshes"]
    ]
    return _markdown(["command", "collection", "meshes", "failed", "wall time", "peak memory"], lines)


def untrained_search(record: dict[str, Any]) -> str:
    lines = [
        [
            name,
            f"{method['train']['mAP']:.1%}",
            f"{method['train']['NN']:.1%}",
            f"{method['held_out']['mAP']:.1%}",
            f"{method['test']['mAP']:.1%}",
            f"{method['unaligned']['mAP']:.1%}",
            f"{1000 * method['cpu_seconds_a_shape']:.0f} ms",
            f"{1000 * method['query_seconds']:.1f} ms",
            f"{sum(method['bytes'].values()) / method['indexed'] / 1000:.0f} kB",
        ]
        for name, method in record["figures"]["methods"].items()
    ]
    headings = ["`@imagenet`, mAP", "`psb` train", "nearest neighbour", "held out", "`psb` test", "`psb-unaligned`"]
    return _markdown([*headings, "CPU time per indexed shape", "time per query", "index size per shape"], lines)


def image_query(record: dict[str, Any]) -> str:
    figures = record["figures"]
    models = {"@imagenet": "`@imagenet`", "mvcnn": "`mvcnn-psb`, trained without the query shapes"}
    pictures = {"view": "shaded", "lines": "lines"}
    lines = []
    for model, name in models.items():
        for kind, drawn in pictures.items():
            own, others = (figures[model][kind][key] for key in ("own", "class"))
            shares = (own["top1"], own["top5"], others["NN"], others["top5"], others["mAP"])
            lines.append([name, drawn, *(f"{share:.1%}" for share in shares)])
    headings = ["own shape first", "own shape in the first 5", "own class first", "own class in the first 5", "mAP"]
    return _markdown(["model of the index", "picture", *headings], lines)


def joined_index(record: dict[str, Any]) -> str:
    """Return two tables: the three models for each kind of query, and other weights of the network."""
    figures, names = record["figures"], ("@imagenet", "@sph", "joined")

    def cell(figure: dict[str, Any]) -> str:
        return _between(figure["value"], figure["interval"])

    lines = [
        [row["title"], *(cell(row[name]["first"]) for name in names), *(_rank(row[name]) for name in names)]
        for row in figures["copies"].values()
    ]
    of = figures["classes"]
    for title, key in (("class: the most similar other shape", "NN"), ("class: all other shapes, mAP", "mAP")):
        lines.append([title, *(cell(of[name][key]) for name in names), "", "", ""])
    headings = [
        f"{name}, {figure}" for figure in ("first", "reciprocal rank") for name in ("`@imagenet`", "`@sph`", "joined")
    ]
    kinds = list(figures["copies"])
    weights = [
        [f"{row['network']:g}", *(f"{row['first'][kind]:.0%}" for kind in kinds)]
        + [f"{row['classes'][key]['value']:.1%}" for key in ("NN", "mAP")]
        for row in figures["weights"]
    ]
    titles = [figures["copies"][kind]["title"].split(":")[0] for kind in kinds]
    shares = _markdown(["weight of the network", *titles, "nearest neighbour", "mAP"], weights)
    return f"{_markdown(['query', *headings], lines)}\n\n{shares}"


def _rank(figures: dict[str, Any]) -> str:
    return f"{figures['reciprocal']['value']:.3f}"


def recognition(records: list[dict[str, Any]]) -> str:
    data = {
        "mvcnn-psb": "`psb`, 12 views",
        "mvcnn-adapter": "`psb`, 12 views",
        "mvcnn-modelnet10": "ModelNet10, 12 imported views",
        "voxresnet-modelnet10": "ModelNet10, 30³ grids",
        "shapenets-modelnet10": "ModelNet10, 30³ grids",
    }
    lines = []
    by_config = {record["figures"]["config"]: record["figures"] for record in records}
    for figures in (by_config[config] for config in data if config in by_config):
        rows, summary, test = figures["rows"], figures["summary"], figures["test"]
        repeated = "folds" if "validation.fold" in rows[0]["changes"] else "seeds, one fold"
        shapes = sum(row["shapes"] for row in rows) if repeated == "folds" else rows[0]["shapes"]
        means = [_spread(summary[name]) if name in summary else "" for name in _RECOGNIZED]
        apart = "near copies" if figures.get("groups") == "near" else "identical shapes"
        held_out = f"validation: {shapes} shapes, {len(rows)} {repeated}, {apart} on one side"
        lines.append([f"`{figures['config']}`", data[figures["config"]], held_out, *means])
        if test is not None:
            ends = test["intervals"]
            ends.setdefault("mAP_scores", ends.get("mAP"))  # its name in measurements before those of macro mAP
            means = [_between(test[name], ends[name]) if name in test else "" for name in _RECOGNIZED]
            lines.append(["", "", f"test: {test['shapes']} shapes, once", *means])
    return _markdown(["config", "data", "measured on", *_RECOGNIZED.values()], lines)


_RECOGNIZED = {
    "mean_class_accuracy": "mean class accuracy",
    "mAP_macro_scores": "macro mAP by scores",
    "mAP_macro_metric": "macro mAP by metric",
    "accuracy": "accuracy",
    "mAP_scores": "mAP by scores",
}


def validation(records: list[dict[str, Any]]) -> str:
    """Return a line for each kind of folds, with the figures of each config."""
    by_config = {record["figures"]["config"]: record["figures"]["rows"] for record in records}
    columns = {config: {row["kind"]: row for row in rows} for config, rows in by_config.items()}
    lines = []
    for kind in dict.fromkeys(kind for rows in columns.values() for kind in rows):
        line = [kind]
        for rows in columns.values():
            row = rows.get(kind)
            line += ["", ""] if row is None else [_spread(row["summary"][name]) for name in _VALIDATED]
        lines.append(line)
    titles = map(figure_title, _VALIDATED)
    return _markdown(["folds", *(f"`{config}`, {name}" for config, name in product(columns, titles))], lines)


_VALIDATED = ("mean_class_accuracy", "mAP_macro")


def closed_form(records: list[dict[str, Any]]) -> str:
    """Return a line for each network on grids and each way to its classifier."""
    lines = []
    for config, figures in [pair for record in records for pair in record["figures"]["configs"].items()]:
        for number, row in enumerate(figures["rows"]):
            means = [_spread(row["summary"][name]) for name in _CLOSED_FORM]
            lines.append(["" if number else f"`{config}`", row["way"], len(row["seeds"]), *means])
        gains = [f"{_gained({'gain': g, 'interval': ends})}" for g, *ends in figures["gains"].values()]
        lines.append(["", "gain of the shipped one", "", gains[0], "", gains[1], "", "", ""])
    return _markdown(["config", "classifier", "seeds", *_CLOSED_FORM.values()], lines)


_CLOSED_FORM = {
    "mean_class_accuracy": "mean class accuracy",
    "accuracy": "accuracy",
    "mAP_macro": "macro mAP by scores",
    "mAP": "mAP by scores",
    "mAP_macro_penultimate": "macro mAP by features",
    "mAP_penultimate": "mAP by features",
}


def grids(records: list[dict[str, Any]]) -> str:
    """Return a line for each choice of the training of grids: its figures, or what it gains over another line."""
    keys = ("mean_class_accuracy", "mAP_macro")
    lines = []
    for row in (row for record in records for row in record["figures"]["rows"]):
        gains = row.get("gains", {})
        shown = [
            _gained({"gain": gains[key][0], "interval": gains[key][1:]}) if gains else f"{row[key]:.1%}" for key in keys
        ]
        lines.append([row["name"], *shown, row["over"]])
    return _markdown(["change", *map(figure_title, keys), "gain over"], lines)


def membership(record: dict[str, Any]) -> str:
    """Return a line for each config and length of the membership coordinates."""
    lines = []
    for config, rows in record["figures"]["configs"].items():
        for number, row in enumerate(rows):
            means = [f"{100 * value:.1f}%" for value in (*row["known"], *row["unseen"])]
            lines.append(["" if number else f"`{config}`", row["compared"].replace("membership", "length"), *means])
    headings = [
        f"{figure}, {classes}" for classes in ("fitted classes", "other classes") for figure in ("mAP", "macro mAP")
    ]
    return _markdown(["config", "compared", *headings], lines)


def ablation(records: list[dict[str, Any]]) -> str:
    data = {"mvcnn-psb": "`psb`", "mvcnn-modelnet10": "ModelNet10"}
    by_config = {record["figures"]["config"]: record["figures"] for record in records}
    columns = [{row["name"]: row for row in by_config[config]["rows"]} for config in data]
    lines = [
        [name, *(_gained(column[name][key]) if name in column else "" for column in columns for key in _VALIDATED)]
        for name in dict.fromkeys(name for column in columns for name in column)
    ]
    titles = map(figure_title, _VALIDATED)
    return _markdown(["change", *(f"{name}, {title}" for name, title in product(data.values(), titles))], lines)


def finetuning(record: dict[str, Any]) -> str:
    lines = [
        [
            row["name"],
            "" if "gain" not in row["mAP_macro"] else row["against"],
            row["folds"],
            *(_gained(row[key]) for key in _VALIDATED),
        ]
        for row in record["figures"]["rows"]
    ]
    return _markdown(["change", "compared with", "folds", *map(figure_title, _VALIDATED)], lines)


def _gained(figure: dict[str, Any]) -> str:
    if "gain" not in figure:
        return _spread(figure)
    low, high = figure["interval"]
    return f"{100 * figure['gain']:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})".replace("-", "−")


def orientation(record: dict[str, Any]) -> str:
    figures = record["figures"]
    lines = []
    for collection in ("psb upright", "psb turned", "psb-unaligned"):
        for row in figures[collection]:
            seconds = f"{row['draw_seconds_a_shape']:.2f} + {row['search_seconds_a_shape']:.2f}"
            mean = _between(row["retrieval"]["mAP"], row["intervals"]["mAP"])
            lines.append([collection, row["method"], "@imagenet", mean, f"{row['retrieval']['NN']:.1%}", "", seconds])
    for name, rows in figures["trained"].items():
        views, stands = name.split(", ", 1)[0], name.rsplit(", ", 1)[1]
        mean, accuracy = (sum(row[key] for row in rows) / len(rows) for key in ("mAP_scores", "accuracy"))
        seconds = f"{sum(row['train_seconds'] for row in rows) / len(rows):.0f} s of training"
        what = f"`mvcnn-psb`, {len(rows)} folds"
        lines.append([f"psb {stands}", views, what, f"{mean:.1%}", "", f"{accuracy:.1%}", seconds])
    headings = ["collection", "views", "model", "mAP", "nearest neighbour", "accuracy", "drawing + search, s per shape"]
    return _markdown(headings, lines)


def ladder(record: dict[str, Any]) -> str:
    lines = []
    stored = record["figures"]["rows"][0]["figures"]
    names = [name for name in ("mean_class_accuracy", "mAP_macro", "accuracy", "mAP") if name in stored]
    for row in record["figures"]["rows"]:
        figures = [row["figures"][name] for name in names]
        rates = [_between(each["value"], each["interval"]) if each["value"] is not None else "" for each in figures]
        neighbour = f"{row['figures']['NN']['value']:.1%}"
        parameters = f"{row['parameters'] / 1e6:.2f} M" if row["parameters"] else "none"
        seconds = row["training_seconds"]
        training = "" if seconds is None else f"{seconds / 60:.1f} min"
        lines.append([row["title"], f"`{row['name']}`", *rates, neighbour, parameters, training])
    headings = [
        *("system", "rung", *map(figure_title, names)),
        *("nearest neighbour", "parameters", "training time"),
    ]
    hours, shapes = record["figures"]["seconds"] / 3600, record["figures"]["shapes"]
    return f"{_markdown(headings, lines)}\n\n{shapes} test shapes. All rungs together took {hours:.1f} h on two cores."


def descriptors(record: dict[str, Any]) -> str:
    """Return a line for each descriptor; below, a sentence on a query of a large index."""
    steps = ("read", "draw", "describe")
    lines = [
        [
            f"`@{name}`",
            row["shapes"],
            f"{row['values']:,}",
            *(f"{row[f'{step}_ms']:.0f} ms" for step in steps),
            f"{row['shapes_per_second']:.1f}",
        ]
        for name, row in record["figures"]["descriptors"].items()
    ]
    headings = ["one core", "meshes of `psb`", "values", "reading", "drawing or voxelizing", "describing", "shapes/s"]
    query = record["figures"]["query"]
    sentences = [
        f"One query of an `@lfd` index of {query['shapes']:,} shapes, from a mesh file to ten hits, takes "
        f"{query['query_seconds']:.1f} s on two cores (the median of {query['queries']}); the search alone takes "
        f"{query['search_seconds']:.1f} s.",
        f"The peak memory is {query['peak_mb']:.0f} MB, of which the features are {query['features_mb']:.0f} MB.",
        "The features are those of the meshes above, over and over with random changes.",
    ]
    turned = [
        [
            f"`@{name}`",
            *(f"{row[key]:.3f}" for key in ("own", "nearest_other", "any_other")),
            f"{row['own_first']:.0%}",
        ]
        for name, row in record["figures"]["rotations"].items()
    ]
    similar = ["turned at random", "similarity to itself", "to the most similar other shape", "to any other shape"]
    return (
        f"{_markdown(headings, lines)}\n\n{' '.join(sentences)}\n\n"
        f"{_markdown([*similar, 'itself first'], turned)}\n\n"
        "Similarities are medians over the meshes above."
    )


def faults(record: dict[str, Any]) -> str:
    """Return a line for each fault, with all commands that were tested for it."""
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in record["figures"]["rows"]:
        groups.setdefault((row["fault"], row["how"], row["expected"]), []).append(row)
    lines = []
    for (fault, how, expected), rows in groups.items():
        tries, passed = (sum(row[key] for row in rows) for key in ("tries", "passed"))
        met = sum((Counter(row["met"]) for row in rows), Counter[str]())
        outcome = f"{'all' if passed == tries else f'{passed} of {tries}'}: {expected}"
        if len(met) > 1:
            outcome += f" ({', '.join(f'{what} {count}' for what, count in met.items())})"
        if impossible := next((row["impossible"] for row in rows if row["impossible"]), None):
            outcome += f"; some tries were not possible: {impossible}"
        lines.append([fault, how, ", ".join(dict.fromkeys(row["command"] for row in rows)), tries, outcome])
    return _markdown(["fault", "how it is provoked", "commands", "tries", "outcome"], lines)


def fuzz(record: dict[str, Any]) -> str:
    lines = []
    for row in record["figures"]["rows"]:
        refused = sum(row["refused"].values())
        broken = row["crashes"] + row["hangs"] + row["findings"]
        lines.append([row["target"], f"{row['inputs']:,}", f"{row['distinct']:,}", f"{row['read']:,}", f"{refused:,}",
                      broken or "none", f"{row['slowest_seconds']:.1f} s", f"{row['peak_mb']:.0f} MB"])  # fmt: skip
    headings = ["target", "inputs", "distinct", "read", "refused with a message", "crashes, hangs, other faults"]
    return _markdown([*headings, "slowest", "peak memory"], lines)


def soak(record: dict[str, Any]) -> str:
    lines = [
        [
            f"`{name}`" if "," not in name else f"`index`, of {name.split(', ')[1]}",
            f"{row['meshes']:,}",
            f"{row['seconds'] / 60:.0f} min",
            f"{row['peak_mb']:.0f} MB",
            f"{row['growth_mb']:+.1f} of {row['allowed_mb']:.1f} MB allowed".replace("-", "−"),
            "all" if all(row["passed"].values()) else ", ".join(k for k, passed in row["passed"].items() if not passed),
        ]
        for name, row in record["figures"]["rows"].items()
    ]
    return _markdown(["command", "meshes", "time", "peak memory", "growth", "passed"], lines)


def limits(record: dict[str, Any]) -> str:
    """Return a line for each format and a column for each run; below, the messages of the refusals."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in record["figures"]["rows"]:
        groups.setdefault(row["format"], []).append(row)
    runs = dict.fromkeys((row["command"], row["options"]) for rows in groups.values() for row in rows)
    refusals = list(dict.fromkeys(r["outcome"] for rows in groups.values() for r in rows if r["outcome"] != "made"))
    lines = []
    for name, rows in groups.items():
        cells = dict.fromkeys(runs, "")
        for row in rows:
            usage = f"{row['seconds']:.0f} s, {row['peak_mb'] / 1e3:.1f} GB"
            refusal = "" if row["outcome"] == "made" else f"refused ({refusals.index(row['outcome']) + 1}): "
            failures = [f"failed: {check}" for check, passed in row["passed"].items() if not passed]
            cells[row["command"], row["options"]] = "; ".join([f"{refusal}{usage}", *failures])
        lines.append([name, f"{rows[0]['bytes'] / 1e6:,.0f} MB", *cells.values()])
    headings = ["format", "file", *(f"`{' '.join(filter(None, run))}`" for run in runs)]
    messages = "\n".join(f"{number}. {message}" for number, message in enumerate(refusals, 1))
    return f"{_markdown(headings, lines)}\n\n{messages}"


def serving(record: dict[str, Any]) -> str:
    """Return a column for each index; what was not measured is left out."""
    columns = record["figures"]["rows"]

    def line(title: str, cell: Callable[[dict[str, Any]], str]) -> list[str]:
        return [title, *(cell(row) for row in columns)]

    def seconds(value: float) -> str:
        return f"{value:.1f} s" if value < 100 else f"{value / 60:.0f} min"

    def scrolled(row: dict[str, Any]) -> str:
        frames = row["medians"]["scrolling"]
        return f"{frames['frames_a_second']:.0f} frames/s, longest {frames['longest_ms']:.0f} ms"

    def busy(row: dict[str, Any]) -> str:
        return " + ".join(f"{row['medians']['pictured_cpu'][part]:.1f} s" for part in ("server", "workers", "page"))

    def spent(row: dict[str, Any]) -> str:
        computed = row["computed"]
        if computed is None:
            return ""
        return f"{seconds(computed['seconds'])}, {seconds(computed['cpu_seconds'])} of CPU time"

    lines = [
        line("size of the index", lambda row: f"{row['index_mb'] / 1000:.1f} GB"),
        line("command to address", lambda row: seconds(row["medians"]["ready"])),
        line("… CPU time", lambda row: seconds(row["medians"]["ready_cpu"])),
        line("opening to the first picture", lambda row: seconds(row["medians"]["first_picture"])),
        line("opening to all pictures in sight", lambda row: seconds(row["medians"]["pictured"])),
        line("… CPU time of the server, its workers and the page", busy),
        line("the same, on the very first visit", lambda row: seconds(row["first"]["pictured"])),
        line("first click on a shape to its results", lambda row: seconds(row["medians"]["clicks"][0]["results"])),
        line("later click on a shape to its results", lambda row: seconds(row["medians"]["clicks"][-1]["results"])),
        line("… and their pictures", lambda row: seconds(row["medians"]["clicks"][-1]["pictured"])),
        line("scrolling at 3,000 pixels a second", scrolled),
        line("jump in the list to its pictures", lambda row: seconds(median(row["medians"]["jumps"]))),
        line("opening of the map to its points", lambda row: "" if row["map"] is None else seconds(median(row["map"]))),
        line("computing the map, once", spent),
        line("memory of the server", lambda row: f"{row['medians']['server']['own_mb'] / 1000:.1f} GB"),
        line("memory of the page", lambda row: f"{row['medians']['browser']['heap_mb']:.0f} MB"),
    ]
    measured = [each for each in lines if any(each[1:])]
    return _markdown(["", *(f"{row['shapes']:,} shapes" for row in columns)], measured)


def shards(record: dict[str, Any]) -> str:
    """Return a line for each step of a large collection in shards."""
    lines = [
        [
            row["step"],
            f"{row['meshes']:,}",
            row["jobs"],
            f"{row['meshes_per_second']:,.0f}",
            f"{row['cpu_ms']:.2f} ms",
            " → ".join(map(str, row["memory_mb"])) + " MB" if row["memory_mb"] else "",
            f"{row['peak_mb']} MB",
        ]
        for row in record["figures"]["rows"]
    ]
    headings = ["meshes", "jobs", "meshes/s", "CPU time per mesh", "memory, first → last fifth of a job", "peak"]
    return _markdown(["step", *headings], lines)


def costs(record: dict[str, Any]) -> str:
    """Return a line for each stage: what it costs for one mesh; below, a sentence on a shape of another shard."""
    lines = [
        [
            row["stage"],
            f"{row['cpu_ms']:.1f} ms",
            f"{row['start_seconds']:.1f} s",
            f"{row['peak_mb']:.0f} MB",
            f"{row['bytes'] / 1000:.1f} kB",
        ]
        for row in record["figures"]["rows"]
    ]
    headings = ["CPU time of a mesh (c)", "CPU time of a start (s)", "peak memory", "storage of a mesh"]
    listed = record["figures"]["listing"]
    return (
        f"{_markdown(['stage', *headings], lines)}\n\nListing the collection takes each job {listed['cpu_us']:.0f} µs "
        f"of CPU time (l) and {listed['bytes'] / 1000:.1f} kB of memory for each of its shapes, also for "
        f"those of other shards."
    )


def plan(record: dict[str, Any]) -> str:
    """Return a line for each stage: what 10 million meshes cost in 100 jobs of 16 cores, by the model."""
    meshes, jobs, cores = 10_000_000, 100, 16
    listing = meshes * record["figures"]["listing"]["cpu_us"] / 1e6
    lines = []
    for row in record["figures"]["rows"]:
        work, alone = meshes * row["cpu_ms"] / 1000, row["start_seconds"] + listing
        hours = (work / (jobs * cores) + alone) / 3600
        core_hours = (work + jobs * cores * alone) / 3600
        lines.append(
            [
                row["stage"],
                f"{work / 3600:,.0f}",
                f"{core_hours:,.0f}",
                f"{60 * hours:.0f} min",
                f"{meshes * row['bytes'] / 1e9:,.0f} GB",
            ]
        )
    headings = ["core hours of work", "core hours to pay", "time", "storage"]
    return _markdown(["10 million meshes", *headings], lines)


def cluster(record: dict[str, Any]) -> str:
    """Return a line for each command: a mesh, and a start, on one machine and on a cluster of the same cores."""
    lines = []
    for command in ("voxelize", "render"):
        row = record["figures"][command]
        least, most = (f"{100 * row[f'overhead_per_mesh_{end}']:+.0f}" for end in ("least", "most"))
        lines.append(
            [
                f"`{command}`",
                *(f"{1000 * row[f'{engine}_seconds_per_mesh']:.1f} ms" for engine in ("local", "ray")),
                f"{100 * row['overhead_per_mesh']:+.0f} % ({least} to {most})",
                *(f"{row[f'{engine}_start_seconds']:.1f} s" for engine in ("local", "ray")),
            ]
        )
    headings = ["a mesh, one machine", "a mesh, Ray", "more", "a start, one machine", "a start, Ray"]
    return _markdown(["command", *headings], lines)


def index_rows(record: dict[str, Any]) -> str:
    """Return a row for each form of rows of an index."""
    lines = [
        [
            name,
            f"{each['bytes'] / 1000:.2f} kB",
            f"{each['mAP']:.2%}",
            f"{each['class']:.2%}" if "class" in each else "",
        ]
        for name, each in record["figures"]["rows"].items()
    ]
    return _markdown(["rows", "a shape", "mAP of meshes", "mAP of pictures"], lines)


def index_update(record: dict[str, Any]) -> str:
    """Return a row for each update in which nothing changes."""
    lines = [
        [name, f"{each['seconds']:.1f} s", f"{each['CPU seconds']:.1f} s"]
        for name, each in record["figures"]["updates"].items()
    ]
    return _markdown([f"update of {record['figures']['meshes']:,} meshes", "time", "CPU time"], lines)


def neighbour_space(record: dict[str, Any]) -> str:
    """Return a row for each set of features, with exact and with approximate neighbours."""
    lines = [
        [f"{name}, {each['shapes']:,} shapes", *(f"{each[key]:.2%}" for key in ("exact", "approximate", "shared"))]
        for name, each in record["figures"]["compared"].items()
    ]
    large = record["figures"]["large"]
    spent = f"{large['CPU seconds']:.0f} s of CPU time and {large['peak GB']:.1f} GB"
    headings = ["features", "mAP, exact", "mAP, approximate", "neighbours that are the same"]
    return (
        f"{_markdown(headings, lines)}\n\nThe adaptation of {large['shapes']:,} shapes with small rows takes {spent}."
    )


def large_search(record: dict[str, Any]) -> str:
    """Return a column for each index."""
    columns = record["figures"]["indexes"]

    def line(title: str, cell: Callable[[dict[str, Any]], str]) -> list[str]:
        return [title, *(cell(index) for index in columns)]

    lines = [
        line("CPU time to make the inverted file", lambda index: f"{index['build CPU seconds']:.0f} s"),
        line("… to update it after a tenth changed", lambda index: f"{index['update']['build CPU seconds']:.0f} s"
             if "update" in index else ""),
        line("bytes a shape", lambda index: f"{index['bytes per shape']:,.0f}"),
        line("recall@10 of `ivf`", lambda index: f"{index['recall@10']:.1%}" if "recall@10" in index else ""),
    ]  # fmt: skip
    if columns[0].get("place CPU seconds", 0) > 1:  # the features are adapted to the collection
        lines.insert(0, line("CPU time to adapt the features", lambda index: f"{index['place CPU seconds']:.0f} s"))
    shown = {"CPU time of a query": ("CPU ms", "{:.0f} ms"), "median time": ("median ms", "{:.0f} ms"),
             "own memory": ("own GB", "{:.2f} GB"), "mAP of the first 200": ("mAP", "{:.2%}")}  # fmt: skip
    for kind in ("exact", "ivf"):
        for number, (title, (key, form)) in enumerate(shown.items()):
            cells = [form.format(index[kind][key]) if key in index.get(kind, {}) else "" for index in columns]
            if any(cells):
                lines.append([f"… {title}" if number else f"`{kind}`: {title}", *cells])
    return _markdown(["", *(f"{index['shapes']:,} shapes" for index in columns)], lines)


def _spread(figure: dict[str, float]) -> str:
    spread = "" if figure["std"] is None else f" ± {100 * figure['std']:.1f}"
    return f"{100 * figure['mean']:.1f}{spread}%"


def _between(figure: float, interval: list[float]) -> str:
    return f"{figure:.1%} ({interval[0]:.1%} to {interval[1]:.1%})"


TABLES: dict[str, Callable[[Any], str]] = {
    function.__name__: function
    for function in (
        *(rendering, voxels, readers, commands, untrained_search, image_query, joined_index, orientation),
        *(recognition, validation, closed_form, grids, membership, ablation, finetuning, ladder, descriptors),
        *(faults, fuzz, soak, limits, serving, shards, costs, plan, cluster),
        *(index_rows, index_update, neighbour_space, large_search),
    )
}
TABLES["faults-full"] = faults
TABLES["adapted_search"] = large_search


def _markdown(headings: list[str], rows: list[list[Any]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def rooms() -> str:
    """Return the map of the package: the layers of the import contract, each with the docstring of its room."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    lines = []
    for layer in next(contract["layers"] for contract in contracts if contract["type"] == "layers"):
        for name in layer.split(" | "):
            folder = ROOT / "shapecnn" / name
            path = f"shapecnn/{name}" if folder.is_dir() else f"shapecnn/{name}.py"
            module = ast.parse((folder / "__init__.py" if folder.is_dir() else ROOT / path).read_text())
            paragraph = (ast.get_docstring(module) or "").split("\n\n")[0]
            lines.append(
                [f"[`{path.removeprefix('shapecnn/')}`]({path})", " ".join(paragraph.split()).replace("``", "`")]
            )
    return _markdown(["module", "content"], lines)


def rungs() -> str:
    """Return the rungs of the ladder, with the views or grids that each reads."""
    lines = [
        [
            f"`{rung.name}`",
            rung.title,
            INPUTS[rung.input],
            f"`ladder/{rung.run}`" if rung.run else f"none (`{rung.model}`)",
        ]
        for rung in RUNGS
    ]
    return _markdown(["rung", "system", "reads", "config"], lines)


def backbones() -> str:
    """Return the named vision transformers, with their sizes and licences."""
    import timm
    import torch

    from shapecnn.networks.backbones import build_backbone
    from shapecnn.networks.choices import CHOICES

    lines = []
    for name, choice in CHOICES.items():
        with torch.device("meta"):  # without memory for the weights
            backbone = build_backbone(name, "none")
        embedding: Any = backbone.parts[0][1].patch_embed
        tensors = [parameter for _, part in backbone.parts for parameter in part.parameters()]
        repository = timm.get_pretrained_cfg(choice.model).hf_hub_id
        lines.append(
            [
                f"`{name}`",
                f"`{choice.model}`",
                f"{sum(tensor.numel() for tensor in tensors) / 1e6:.0f} million",
                backbone.size,
                embedding.patch_size[0],
                backbone.feature_size,
                choice.licence,
                f"[{repository}](https://huggingface.co/{repository})",
            ]
        )
    headings = ["parameters", "picture, pixels a side", "patch", "numbers of a feature", "licence", "weights"]
    return _markdown(["name", "name in timm", *headings], lines)


GENERATED: dict[str, Callable[[], str]] = {"map": rooms, "rungs": rungs, "backbones": backbones}


def filled(text: str) -> str:
    """Return the text with all its tables regenerated."""

    def table(match: re.Match[str]) -> str:
        if match[2] in GENERATED:
            return f"{match[1]}{GENERATED[match[2]]()}\n{match[4]}"
        folder = ROOT / "results" / (match[3] or match[2])  # a folder if the table has several records
        files = sorted(folder.glob("*.json")) if folder.is_dir() else [folder.with_suffix(".json")]
        records = [json.loads(file.read_text()) for file in files]
        content = TABLES[match[2]](records if folder.is_dir() else records[0])
        where = records[0]["environment"]
        commands = "; ".join(f"`{record['command']}`" for record in records)
        note = f"{where['processor']}, {where['cores']} core{'s' * (where['cores'] > 1)}, no GPU; {commands}"
        return f"{match[1]}{content}\n\n<sub>{note}</sub>\n{match[4]}"

    return _BLOCK.sub(table, text)


def command_reference() -> str:
    """Return the help of all commands as Markdown."""
    parts = ["# Commands\n\nGenerated from `--help` by `scripts/documents.py`.\n"]
    for path, command in _commands(cli, ("shapecnn",)):
        context = click.Context(
            command, info_name=" ".join(path), max_content_width=110, help_option_names=["-h", "--help"]
        )
        parts.append(f"## {' '.join(path)}\n\n```\n{command.get_help(context).strip()}\n```\n")
    return "\n".join(parts)


def _commands(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from _commands(child, (*path, name))


def notebook() -> str:
    """Return docs/python.md as a notebook: a cell for each example that shows something, without what it shows."""
    import doctest

    import nbformat

    parts = re.split(r"^```python\n(.*?)^```\n", (ROOT / "docs/python.md").read_text(), flags=re.MULTILINE | re.DOTALL)
    cells = []
    for number, part in enumerate(parts):
        if number % 2 == 0:
            cells += [nbformat.v4.new_markdown_cell(part.strip())] if part.strip() else []
            continue
        lines: list[str] = []
        examples = doctest.DocTestParser().get_examples(part)
        for place, example in enumerate(examples):
            lines.append(example.source.rstrip())
            if example.want or place == len(examples) - 1:
                cells.append(nbformat.v4.new_code_cell("\n".join(lines)))
                lines = []
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"  # the same every time
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    book = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}})
    return str(nbformat.writes(book)) + "\n"


def main() -> None:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    documents = {path: filled(path.read_text()) for path in pages} | {
        ROOT / "docs" / "commands.md": command_reference(),
        ROOT / "docs" / "python.ipynb": notebook(),
        ROOT / "docs" / "reference" / "configs.md": config_reference(ROOT / "configs"),
        ROOT / "docs" / "reference" / "python.md": python_reference(),
        ROOT / "docs" / "reference" / "schemas.md": schema_reference(ROOT / "shapecnn" / "cli" / "schemas"),
    }
    stale = [path for path, text in documents.items() if not path.exists() or path.read_text() != text]
    if "--check" in sys.argv:
        if stale:
            names = ", ".join(str(path.relative_to(ROOT)) for path in stale)
            sys.exit(f"{names} not current: run python scripts/documents.py")
        return
    for path in stale:
        path.parent.mkdir(exist_ok=True)
        path.write_text(documents[path])


if __name__ == "__main__":
    main()
