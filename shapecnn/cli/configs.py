"""``shapecnn configs``: list and print the built-in configs."""

from __future__ import annotations

import click

from shapecnn.cli.completion import complete_name
from shapecnn.cli.console import SCHEMA_VERSION, emit
from shapecnn.cli.options import json_option


@click.command("configs")
@click.argument("name", required=False, shell_complete=complete_name)
@json_option
def command(name: str | None, as_json: bool) -> None:
    """List the built-in configs, or print the one called NAME.

    `shapecnn train NAME` uses a built-in config. To change it, add --set, or save the printed text to a file and edit
    that.

    \b
    Examples:
      shapecnn configs
      shapecnn configs mvcnn-psb > mine.yaml
    """
    from shapecnn.settings.files import config_text, description, shipped

    texts = {each: config_text(each) for each in ([name] if name else sorted(shipped()))}
    configs = [{"name": each, "description": description(text), "text": text} for each, text in texts.items()]
    answer = {"schema_version": SCHEMA_VERSION, "configs": configs}
    if name:
        emit(answer, as_json, texts[name].splitlines())
        return
    width = max(map(len, texts))
    emit(answer, as_json, [f"{each['name']:{width}}  {each['description']}" for each in configs])
