"""Write the model card of a run: a README.md with YAML front matter, in the format of the Hugging Face hub.

The card holds what the files of the run and of its evaluation reports say, and nothing else. A figure that was not
measured is named as not measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from shapecnn.errors import visible
from shapecnn.information.figures import figure_text, figure_title, in_order
from shapecnn.information.reports import Measured, read_report
from shapecnn.information.trained import run_facts
from shapecnn.settings.yaml_reader import write_yaml


def model_card(
    run: str | Path, reports: Sequence[str | Path] = (), licence: str | None = None, data_name: str | None = None
) -> str:
    """Return the model card of a run, as Markdown with YAML front matter.

    Args:
        run: Folder of the run.
        reports: Evaluation reports of this run: folders that ``eval --out`` wrote, or files with what ``eval --json``
            printed.
        licence: Identifier of the licence on the Hugging Face hub, such as ``mit``; None: the card names no licence.
        data_name: Name of the data set; None: the name of the folder that was evaluated.

    Returns:
        The text of README.md.

    Raises:
        UsageError: ``run`` is no finished run, or a report is none.
        MismatchError: A report is of another model.
        StoredDataError: The run or a report is damaged.

    Example:
        >>> import shapecnn
        >>> print(shapecnn.model_card("run").splitlines()[1])
        library_name: shapecnn
    """
    folder = Path(run)
    facts = run_facts(folder)
    measured = [task for report in reports for task in read_report(Path(report), folder, facts)]
    name = folder.resolve().name
    front = write_yaml(_front_matter(name, facts, measured, licence, data_name))
    return f"---\n{front}---\n\n" + "\n".join(_sections(name, facts, measured)) + "\n"


def _front_matter(
    name: str, facts: Mapping[str, Any], measured: Sequence[Measured], licence: str | None, data_name: str | None
) -> dict[str, Any]:
    network = facts["network"]
    tags = ["3d", "3d-shape-recognition", str(network["kind"]), str(facts["input"].get("kind"))]
    front: dict[str, Any] = {"library_name": "shapecnn", "tags": tags}
    if licence is not None:
        front["license"] = licence
    if not measured:
        return front
    results = []
    for each in measured:
        dataset = data_name or Path(each.data).name or each.data
        metrics = [
            {"type": key.lower(), "name": _title(key), "value": value}
            for key, value in each.figures.items()
            if value is not None
        ]
        task = {"type": each.task, "name": each.title}
        data = {"type": _slug(dataset), "name": dataset, "split": each.split}
        if metrics:
            results.append({"task": task, "dataset": data, "metrics": metrics})
    front["model-index"] = [{"name": name, "results": results}]
    return front


def _slug(name: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in name.lower()).split()) or "data"


def _sections(name: str, facts: Mapping[str, Any], measured: Sequence[Measured]) -> Iterator[str]:
    network, target = facts["network"], facts["target"]
    reads = {"views": "rendered views", "voxels": "voxel grids"}[facts["input"]["kind"]]
    predicts = (
        f"{len(facts['classes'])} classes" if target == "class" else f"the {target} of a shape scaled to radius 1"
    )
    backbone = f" with the backbone `{network['backbone']}`" if network.get("backbone") else ""
    yield f"# {visible(name)}\n"
    yield f"A network of shapecnn that reads {reads} of 3D meshes and predicts "
    yield f"{predicts}: `{network['kind']}`{backbone}.\n"
    yield "## Use\n"
    up = f" --up {facts['up']}" if facts["up"] not in (None, "z") else ""
    yield f"```\nshapecnn predict {visible(name)} chair.obj{up}"
    yield f"shapecnn index meshes/ my-index --model {visible(name)}{up}\n```\n"
    yield from _limits(facts)
    yield "## Training\n"
    yield from _table(["", ""], _training(facts))
    if target == "class":
        yield f"<details><summary>{len(facts['classes'])} classes</summary>\n"
        yield ", ".join(map(_cell, facts["classes"])) + "\n\n</details>\n"
    yield "## Evaluation\n"
    if facts["validation"]:
        yield f"On the {facts['validation']['count']} shapes that training held out"
        yield "(with `select: best` in the config, they also chose the epoch):\n"
        rows = [[_title(key), _number(key, value)] for key, value in in_order(facts["validation"])]
        yield from _table(["validation", ""], rows)
    for each in measured:
        protocol = f", protocol and feature: {each.protocol}" if each.protocol else ""
        yield f"{each.title} on `{_cell(Path(each.data).name)}`, split {each.split}, {each.count} shapes{protocol}:\n"
        rows = [[_title(key), _number(key, value) + _interval(key, each)] for key, value in each.figures.items()]
        yield from _table(["figure", "value (95 % interval)"], rows)
    yield from _not_measured(facts, measured)
    yield "## Files\n"
    yield f"`model.safetensors` has the SHA-256 `{facts['weights']}`."
    yield f"`shapecnn verify {visible(name)}` checks all files."


def _limits(facts: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a user must know before using the run, as far as its files say it."""
    yield "## Limits\n"
    up = facts["up"]
    settings = facts["input"]
    versions = ("kind", "hash", "drawing", "filling")
    given = ", ".join(f"{key} {value}" for key, value in settings.items() if key not in versions)
    yield f"- Meshes are drawn or voxelized with these settings: {_cell(given)}."
    if settings.get("origin") == "imported":
        yield "- It was trained on views or grids of another program, which shapecnn does not draw in the same way."
    yield (
        f"- The training meshes had {up} up; give --up for other meshes."
        if up
        else "- The up axis of the training meshes was not recorded."
    )
    calibration = facts["calibration"]
    if facts["target"] != "class":
        yield "- The value is for the shape scaled to radius 1.\n"
    elif calibration is None:
        yield "- The scores are not calibrated, and no mesh is reported as unknown.\n"
    else:
        yield (
            f"- A mesh whose similarity to the training shapes is below {calibration['threshold']:.3f} is reported as "
            f"unknown; {calibration['rejected']:.1%} of {calibration['shapes']} known shapes were. After calibration, "
            f"the calibration error is {calibration['ece']:.1%}.\n"
        )


def _training(facts: Mapping[str, Any]) -> list[list[str]]:
    rows = [
        [
            "data",
            Path(facts["data"] or "not recorded").name + (f", subset {facts['subset']}" if facts["subset"] else ""),
        ],
        ["shapes", f"{facts['train']} to train on, {facts['val']} held out"],
        ["parameters", str(facts["parameters"])],
        ["feature", f"{facts['feature_size']} numbers"],
        ["epochs", str(facts["epochs"])],
        ["time", f"{facts['seconds']:.0f} s" if facts["seconds"] is not None else "None"],
        ["config", "`config.yaml`, with every key"],
        ["versions", ", ".join(f"{name} {version}" for name, version in facts["versions"].items())],
    ]
    return [row for row in rows if row[1] not in ("None", "")]


def _not_measured(facts: Mapping[str, Any], measured: Sequence[Measured]) -> Iterator[str]:
    missing = [] if facts["validation"] else ["validation (no shapes were held out, or they were not recorded)"]
    for task in ("classification" if facts["target"] == "class" else "regression", "retrieval"):
        of_test = [each for each in measured if each.task == task and each.split == "test"]
        if not of_test:
            missing.append(f"{task} of the test split")
        for each in of_test:
            undefined = [_title(key) for key, value in each.figures.items() if value is None]
            missing += [f"{name} of {task} (undefined)" for name in undefined]
    if missing:
        yield f"Not measured: {', '.join(missing)}.\n"


def _title(key: str) -> str:
    """Return the title of a figure; strangers read a card, so it spells out the nearest neighbour."""
    return "nearest neighbour" if key == "NN" else figure_title(key)


def _number(key: str, value: float | None) -> str:
    return "undefined" if value is None else figure_text(key, value)


def _interval(key: str, each: Measured) -> str:
    limits = each.intervals.get(key)
    return "" if limits is None else f" ({_number(key, limits[0])} to {_number(key, limits[1])})"


def _table(header: list[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(header)} |"
    yield "| --- " * len(header) + "|"
    for row in rows:
        yield f"| {' | '.join(map(_cell, row))} |"
    yield ""


def _cell(text: str) -> str:
    """Escape text that comes from a file, so that it neither ends a cell of a table nor becomes Markdown or HTML."""
    safe = visible(str(text))
    return "".join(f"\\{c}" if c in "|<>[]\\*_" else c for c in safe)
