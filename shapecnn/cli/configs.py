"""``shapecnn configs``: the experiments that come with shapecnn."""

from __future__ import annotations

import click

from shapecnn.cli.completion import complete_name
from shapecnn.cli.console import SCHEMA_VERSION, emit
from shapecnn.cli.options import json_option


@click.command("configs")
@click.argument("name", required=False, shell_complete=complete_name)
@json_option
def command(name: str | None, as_json: bool) -> None:
    """List the configs that come with shapecnn, or show the one called NAME.

    `shapecnn train NAME` takes one; to change it, save what is shown to a file, or use --set.

    \b
    Examples:
      shapecnn configs
      shapecnn configs mvcnn-psb > mine.yaml
    """
    from shapecnn.settings.files import config_text, description, shipped

    texts = {each: config_text(each) for each in ([name] if name else sorted(shipped()))}
    described = [{"name": each, "description": description(text), "text": text} for each, text in texts.items()]
    answer = {"schema_version": SCHEMA_VERSION, "configs": described}
    if name:
        emit(answer, as_json, texts[name].splitlines())
        return
    width = max(map(len, texts))
    emit(answer, as_json, [f"{each['name']:{width}}  {each['description']}" for each in described])
