"""Write ``docs/reference/configs.md`` from ``configs/``; called by scripts/documents.py."""

from __future__ import annotations

from pathlib import Path

INTRODUCTION = """\
# Configs

Generated from [`configs/`](../../configs) by `scripts/documents.py`. A config is a YAML file that defines a training:
the network, the validation split and the stages. `shapecnn configs` lists those below, `shapecnn configs NAME` prints
one, and `shapecnn train NAME` uses it. To change one key, add `--set stages.discriminant.shrinkage=0.5`; to change
many, copy the file and give its path to `train`.

[`mvcnn-psb`](#mvcnn-psb) explains its keys, [`mvcnn-finetuned`](#mvcnn-finetuned) the keys of gradient descent.
[Training](../training.md) says which config to use for which data. `ladder/` has the [rungs of the
ladder](../ladder.md).
"""


def config_reference(folder: Path) -> str:
    """Return all configs as Markdown: a list with a sentence for each, then the text of each."""
    files = {path.relative_to(folder).with_suffix("").as_posix(): path.read_text() for path in folder.rglob("*.yaml")}
    own = {name: text for name, text in sorted(files.items()) if "/" not in name}
    ladder = {name: text for name, text in sorted(files.items()) if "/" in name}
    lines = [f"| [`{name}`](#{name.replace('/', '')}) | {_sentence(text)} |" for name, text in (own | ladder).items()]
    parts = [INTRODUCTION, "\n".join(["| config | purpose |", "| --- | --- |", *lines]) + "\n"]
    parts += [f"## {name}\n\n```yaml\n{text.strip()}\n```\n" for name, text in (own | ladder).items()]
    return "\n".join(parts)


def _sentence(text: str) -> str:
    """Return the first sentence of the comment that a config begins with."""
    comment = []
    for line in text.splitlines():
        if not line.startswith("# "):
            break
        comment.append(line.removeprefix("# "))
    return " ".join(comment).partition(". ")[0].rstrip(".:") + "."
