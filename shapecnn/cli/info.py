"""``shapecnn info``: tell what a path is, and what is in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shapecnn.cli.console import SCHEMA_VERSION, emit, note
from shapecnn.cli.next_steps import suggest, suggest_for
from shapecnn.cli.options import AnyPath, json_option, labels_option, quiet_option
from shapecnn.cli.tables import is_drawn, size, table
from shapecnn.errors import counted
from shapecnn.information.figures import figure_text, figure_title, in_order

if TYPE_CHECKING:
    from shapecnn.meshes.labels import Labels

Facts = dict[str, Any]
Row = tuple[str, str]

_MOST_CLASSES = 60  # classes listed as text; --json has all


@click.command("info")
@click.argument("path", type=AnyPath(path_type=Path))
@labels_option
@quiet_option
@json_option
def command(path: Path, labels: Labels, as_json: bool) -> None:
    """Tell what PATH is, and what is in it.

    PATH is a mesh file or a mesh inside a zip (shapes.zip/chair/a.off), a collection of meshes, or a folder that
    shapecnn wrote: artefacts, a run, an index or a report. Meshes of a collection are counted but not opened, and
    neither weights nor features are read. `shapecnn verify` checks all files.

    \b
    Examples:
      shapecnn info chair.obj
      shapecnn info my-run
      shapecnn info meshes/ --json
    """
    from shapecnn.information import describe

    described = describe(path, labels=labels, say=note)
    lines = _LINES[described.kind](described.facts)
    emit({"schema_version": SCHEMA_VERSION, **described.to_json()}, as_json, [f"{path}: {next(lines)}", *lines])
    if described.kind == "mesh":
        suggest("view", path)
    else:
        suggest_for(described)


def _indented(rows: Iterable[Row]) -> Iterator[str]:
    return iter(table([*rows], indent=2))


def _mesh(facts: Facts) -> Iterator[str]:
    yield f"mesh, {facts['format']}, {size(facts['bytes'])}"
    yield from _indented(_mesh_rows(facts))


def _mesh_rows(facts: Facts) -> Iterator[Row]:
    flat = f" ({facts['degenerate_faces']:,} without area)" if facts["degenerate_faces"] else ""
    yield "faces", f"{facts['faces']:,}{flat}"
    yield "vertices", f"{facts['vertices']:,}"
    yield "extents x, y, z", " × ".join(f"{extent:.6g}" for extent in facts["extents"])
    yield "sphere around it", f"diameter {facts['diameter']:.6g} (the SIZE of --keep-scale)"
    closed = {True: "yes", False: "no, or not consistently oriented", None: "not checked: too many faces"}
    yield "closed", closed[facts["closed"]]
    yield "area", f"{facts['area']:.6g}"
    yield "volume", "undefined" if facts["volume"] is None else f"{facts['volume']:.6g}"
    for sentence in facts["notes"]:
        yield "note", sentence


def _collection(facts: Facts) -> Iterator[str]:
    formats = ", ".join(f"{count:,} {name}" for name, count in facts["formats"].items())
    yield f"collection ({facts['source']}), {counted(facts['shapes'], 'mesh', 'meshes')}: {formats}"
    yield from _classes(facts)


def _classes(facts: Facts) -> Iterator[str]:
    """Yield a table of the classes, with a column for each split."""
    if facts["unlabelled"]:
        yield f"  {counted(facts['unlabelled'], 'shape')} without a class"
    classes = facts["classes"]
    if not classes:
        return
    splits = sorted(facts["splits"], key=lambda name: ("train", "val", "test", "none").index(name))
    titles = [{"none": "no split"}.get(name, name) for name in splits]
    rows = [
        [label, *(str(counts.get(split, 0)) for split in splits)]
        for label, counts in [*classes.items()][:_MOST_CLASSES]
    ]
    rows.append(["all", *(str(sum(counts.get(split, 0) for counts in classes.values())) for split in splits)])
    yield f"  {counted(len(classes), 'class', 'classes')}; {', '.join(titles)}:"
    yield from table(rows, ["class", *titles], range(1, len(splits) + 1), indent=2)
    if len(classes) > _MOST_CLASSES:
        yield f"  The first {_MOST_CLASSES} classes are shown; --json has all."


def _artefacts(facts: Facts) -> Iterator[str]:
    what = {"views": "views", "voxels": "voxel grids"}.get(facts["content"], "artefacts")
    imported = ", imported" if facts["settings"].get("origin") == "imported" else ""
    yield f"artefacts: {what} of {counted(facts['shapes'], 'shape')}{imported}, {size(facts['bytes'])}"
    yield from _indented(_artefact_rows(facts))
    yield from _classes(facts)


def _artefact_rows(facts: Facts) -> Iterator[Row]:
    yield from _shard_row(facts)
    yield "settings", _settings(facts["settings"])
    yield "hash of the settings", str(facts["hash"])[:16]
    yield "failed", str(facts["failed"])
    for failure in facts["failures"]:
        yield "", f"{failure['id']}: {failure['error']}"
    if facts["failed"] > len(facts["failures"]):
        yield "", f"… and {facts['failed'] - len(facts['failures'])} more in manifest.parquet"
    if facts["notes"]:
        yield "notes of readers", f"{facts['notes']}, in the column note of manifest.parquet"
    if facts["interrupted"]:
        yield "unfinished", "the command that writes it was interrupted: run it again"


def _shard_row(facts: Facts) -> Iterator[Row]:
    if facts["shard"] is not None:
        yield "shard", f"{facts['shard']} of a collection: shapecnn merge joins all shards"


def _settings(settings: Facts) -> str:
    return ", ".join(f"{key} {value}" for key, value in settings.items() if key not in ("kind", "drawing", "filling"))


def _network(network: Facts | None) -> str:
    if network is None:
        return "unknown"
    return " ".join(str(network[key]) for key in ("kind", "backbone") if network.get(key))


def _run(facts: Facts) -> Iterator[str]:
    target = facts["target"]
    predicts = counted(len(facts["classes"]), "class", "classes") if target == "class" else f"predicts the {target}"
    yield f"run, finished: {_network(facts['network'])}, {predicts}, {size(facts['weights_bytes'])} of weights"
    yield from _indented(_run_rows(facts))


def _run_rows(facts: Facts) -> Iterator[Row]:
    if facts["parameters"] is not None:
        yield "parameters", f"{facts['parameters']:,}"
    yield "feature", f"{facts['feature_size']} numbers"
    shown = {key: value for key, value in facts["input"].items() if key != "hash"}
    yield "input", f"{shown.get('kind')}: {_settings(shown)}" + (f", up {facts['up']}" if facts["up"] else "")
    yield "data", (facts["data"] or "not recorded") + (f", subset {facts['subset']}" if facts["subset"] else "")
    yield "shapes", f"{facts['train']:,} to train on, {facts['val']:,} held out"
    epochs = "" if facts["best_epoch"] is None else f", epoch {facts['best_epoch']} kept"
    if facts["epochs"] is not None:
        yield "epochs", f"{facts['epochs']}{epochs}"
    if facts["seconds"] is not None:
        from shapecnn.cli.progress import duration

        yield "training time", duration(facts["seconds"])
    yield "validation", _figures(facts["validation"]) if facts["validation"] else "none: no shapes were held out"
    calibration = facts["calibration"]
    if facts["target"] == "class":
        yield (
            "calibration",
            "none"
            if calibration is None
            else (
                f"temperature {calibration['temperature']:.3g}, calibration error {calibration['ece']:.1%}; unknown "
                f"below a similarity of {calibration['threshold']:.3f}"
            ),
        )
        yield "metric", "none" if facts["metric"] is None else "learned: --feature metric"
        from shapecnn.settings.base import few

        yield "classes", few(facts["classes"])
    yield "weights", f"SHA-256 {str(facts['weights'])[:16]}"
    yield "versions", ", ".join(f"{name} {version}" for name, version in facts["versions"].items())


def _figures(figures: Facts, intervals: Facts | None = None) -> str:
    shown = []
    for name, value in in_order(figures):
        between = _interval(name, intervals or {})
        shown.append(f"{figure_title(name)} {figure_text(name, value)}" + (f" (95 %: {between})" if between else ""))
    count = figures.get("count")
    return ", ".join(shown) + (f" ({counted(count, 'shape')})" if count else "")


def _interval(name: str, intervals: Facts) -> str:
    """Return the ends of the interval of a figure as text; an empty text if it has none."""
    return " to ".join(figure_text(name, end) for end in intervals.get(name, ()))


def _training(facts: Facts) -> Iterator[str]:
    yield f"run, not finished: {_network(facts['network'])}"
    yield from _indented(
        iter([("data", str(facts["data"])), ("stages", ", ".join(facts["stages"])), ("state", size(facts["bytes"]))])
    )


def _index(facts: Facts) -> Iterator[str]:
    yield f"index of {counted(facts['shapes'], 'shape')}, {size(facts['bytes'])} of features"
    yield from _indented(_index_rows(facts))
    yield from _classes(facts)


def _index_rows(facts: Facts) -> Iterator[Row]:
    yield from _shard_row(facts)
    yield "model", f"{facts['description']}" if facts["run"] is None else f"{facts['description']} ({facts['run']})"
    yield "feature", f"{facts['feature_size']} numbers ({facts['feature']})"
    yield "pictures", f"{facts['views']} views a shape: --image" if facts["views"] else "no views stored: no --image"
    yield "rows", f"{facts['rows']}"
    search = f"inverted file of {facts['lists']:,} lists" if facts["lists"] else "all shapes are compared"
    yield "search", f"{search} (--kind {facts['kind']})"
    yield "up", f"{facts['up']}, orientation {facts['orientation']}, labels {facts['labels']}"
    if facts["engine"]:
        yield "engine", ", ".join(facts["engine"].values())
    meshes = facts["meshes"]
    state = f"{meshes['missing']:,} missing, {meshes['changed_since']:,} changed after it, of {meshes['checked']:,}"
    current = not meshes["missing"] and not meshes["changed_since"]
    if meshes["checked"]:
        yield "meshes", f"all {meshes['checked']:,} are there, unchanged by date" if current else state
    if facts["interrupted"]:
        yield "unfinished", "the last update was interrupted: run it again"


def _report(facts: Facts) -> Iterator[str]:
    yield f"report of eval: {facts['model']} on {facts['data']}, {facts['split']}"
    shapes = counted(facts["count"], "shape")
    if is_drawn():
        figures = [
            [figure_title(name), figure_text(name, value), _interval(name, facts["intervals"])]
            for name, value in in_order(facts["figures"])
        ]
        yield from table(figures, [f"figures of {shapes}", "result", "95 % interval"], [1, 2], indent=2)
        yield f"  page  {facts['page']}"
        return
    rows = [
        ("shapes", shapes),
        ("figures", _figures(facts["figures"], facts["intervals"])),
        ("page", str(facts["page"])),
    ]
    yield from _indented(iter(rows))


def _audit(facts: Facts) -> Iterator[str]:
    yield f"report of audit: {counted(facts['count'], 'shape')} of {facts['data']}"
    if is_drawn() and facts["levels"]:
        names = [*next(iter(facts["levels"].values()))]
        rows = [[level, *(str(counts[name]) for name in names)] for level, counts in facts["levels"].items()]
        yield from table(rows, ["copies by", *names], range(1, len(names) + 1), indent=2)
        yield f"  page  {facts['page']}"
        return
    for level, counts in facts["levels"].items():
        yield f"  copies by {level}: " + ", ".join(f"{count} {name}" for name, count in counts.items())
    yield f"  page  {facts['page']}"


def _comparison(facts: Facts) -> Iterator[str]:
    models = facts["models"]
    yield f"report of compare: {counted(len(models), 'model')} on {facts['count']} shapes of {facts['split']}"
    yield from _models(facts)


def _ladder(facts: Facts) -> Iterator[str]:
    yield f"report of ladder: {counted(len(facts['models']), 'system')} on {facts['count']} shapes of {facts['split']}"
    yield from _models(facts)


def _models(facts: Facts) -> Iterator[str]:
    names = ("mean_class_accuracy", "accuracy", "mAP_macro", "mAP")
    rows = [
        [model["model"], *("" if model.get(name) is None else figure_text(name, model[name]) for name in names)]
        for model in facts["models"]
    ]
    yield from table(rows, ["model", *map(figure_title, names)], range(1, len(names) + 1), indent=2)
    yield f"  page  {facts['page']}"


_LINES: dict[str, Callable[[Facts], Iterator[str]]] = {
    "mesh": _mesh,
    "collection": _collection,
    "artefacts": _artefacts,
    "run": _run,
    "training": _training,
    "index": _index,
    "report": _report,
    "audit": _audit,
    "comparison": _comparison,
    "ladder": _ladder,
}
