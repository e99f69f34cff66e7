"""``shapecnn card``: write the model card of a run."""

from __future__ import annotations

from pathlib import Path

import click

from shapecnn.cli.completion import complete_run
from shapecnn.cli.console import SCHEMA_VERSION, emit
from shapecnn.cli.next_steps import suggest_for_run
from shapecnn.cli.options import LocalPath, json_option, overwrite_option


@click.command("card")
@click.argument("run", type=LocalPath(path_type=Path), shell_complete=complete_run)
@click.option("--report", "reports", type=LocalPath(path_type=Path), multiple=True, metavar="DIR|FILE.json",
              help="Report of `shapecnn eval` whose figures the card shows: the folder of --out, or a file with the "
              "output of --json. Can be repeated.")  # fmt: skip
@click.option("--out", type=LocalPath(path_type=Path, dir_okay=False), metavar="FILE",
              help="File of the card.  [default: RUN/README.md]")  # fmt: skip
@click.option("--license", "licence", metavar="ID",
              help="Identifier of the licence on the hub, such as mit.  [default: the card names none]")  # fmt: skip
@click.option("--dataset", metavar="NAME",
              help="Name of the data set.  [default: the name of the evaluated folder]")  # fmt: skip
@overwrite_option
@json_option
def command(
    run: Path,
    reports: tuple[Path, ...],
    out: Path | None,
    licence: str | None,
    dataset: str | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Write the model card of RUN: a README.md with YAML front matter, in the format of the Hugging Face hub.

    The card is made of the files of RUN and of evaluation reports. It says how the network was trained, what it needs,
    and each measured figure with its interval, for people and in model-index for programs. Figures that were not
    measured are named as such.

    \b
    Examples:
      shapecnn eval my-run --data views/ --out report/
      shapecnn card my-run --report report/ --license mit
    """
    from shapecnn.card import model_card
    from shapecnn.information.trained import run_facts
    from shapecnn.storage.files import require_file, write_page

    facts = run_facts(run)
    target = out or run / "README.md"
    require_file(target, overwrite)
    text = model_card(run, reports, licence, dataset)
    write_page(target, text, overwrite)
    answer = {
        "schema_version": SCHEMA_VERSION,
        "run": str(run),
        "out": str(target),
        "reports": [str(report) for report in reports],
        "validation": facts["validation"],
        "card": text,
    }
    measured = f"figures of {len(reports)} report{'' if len(reports) == 1 else 's'}" if reports else "no report given"
    emit(answer, as_json, [f"{target}: model card of {run}, {measured}"])
    if not reports:
        suggest_for_run(run)
