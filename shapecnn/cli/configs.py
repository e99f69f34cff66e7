"""``shapecnn configs``: list the built-in training configs, or print one of them."""

from __future__ import annotations

import click

from shapecnn.cli.completion import complete_name
from shapecnn.cli.console import SCHEMA_VERSION, emit
from shapecnn.cli.next_steps import VIEWS, suggest
from shapecnn.cli.options import json_option
from shapecnn.cli.tables import table


@click.command("configs")
@click.argument("name", required=False, shell_complete=complete_name)
@json_option
def command(name: str | None, as_json: bool) -> None:
    """List the built-in training configs, or print the text of the config NAME.

    `shapecnn train NAME` trains with a built-in config. To change a setting, add --set, or save the printed text to a
    file and edit the file.

    \b
    Examples:
      shapecnn configs
      shapecnn configs mvcnn-psb > mine.yaml
    """
    from shapecnn.settings.config_files import config_text, description, shipped

    texts = {each: config_text(each) for each in ([name] if name else sorted(shipped()))}
    configs = [{"name": each, "description": description(text), "text": text} for each, text in texts.items()]
    answer = {"schema_version": SCHEMA_VERSION, "configs": configs}
    if name:
        emit(answer, as_json, texts[name].splitlines())
        return
    rows = [(each["name"], each["description"]) for each in configs]
    emit(answer, as_json, table(rows, ["config", "made for"]))
    suggest("configs", VIEWS)
