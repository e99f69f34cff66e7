"""Shell completion of config names, through click and in a real bash."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from shapecnn.cli.completion import MODELS
from shapecnn.cli.main import cli
from shapecnn.settings.config_files import shipped

BASH = """
eval "$(_SHAPECNN_COMPLETE=bash_source shapecnn)"
COMP_WORDS=({words}) COMP_CWORD={position}
_shapecnn_completion shapecnn
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def offered(*words: str, last: str = "") -> list[tuple[str, str]]:
    """Return type and value of each completion of ``last``."""
    return [(item.type, item.value) for item in ShellComplete(cli, {}, "shapecnn", "_").get_completions([*words], last)]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Current folder with configs of the user."""
    (tmp_path / "sub").mkdir()
    for name in ("mine.yaml", "mvcnn-mine.yml", "notes.txt", "sub/deep.yaml", "sub/notes.txt", ".hidden.yaml"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_configs_are_offered_by_name_and_as_files() -> None:
    names = sorted(shipped())
    assert offered("train") == [("plain", value) for value in [*names, "mine.yaml", "mvcnn-mine.yml"]]
    near = [name for name in names if name.startswith("mvcnn-")]
    assert offered("train", "--data", "views", last="mvcnn-") == [("plain", v) for v in [*near, "mvcnn-mine.yml"]]
    assert offered("train", last="sub/") == [("plain", "sub/deep.yaml")]
    assert offered("train", last="su") == [("file", "su")]  # the shell knows better how to go into a folder
    assert offered("train", "mine.yaml", last="") == []


def test_each_name_comes_with_its_description() -> None:
    (item,) = ShellComplete(cli, {}, "shapecnn", "_").get_completions(["train"], "mvcnn-p")
    assert item.value == "mvcnn-psb"
    assert len(str(item.help)) > 20


def test_resume_completes_folders() -> None:
    assert offered("train", "--resume", last="ru") == [("dir", "ru")]


def test_configs_are_shown_by_name_alone() -> None:
    assert offered("configs", last="demo") == [("plain", "demo-mvcnn"), ("plain", "demo-shapenets")]
    assert offered("configs", last="mine") == []


def test_commands_are_offered() -> None:
    assert [value for _, value in offered(last="con")] == ["configs"]


def test_bash_offers_them(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "shapecnn"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nfrom shapecnn.cli.main import main\n\nmain()\n")
    program.chmod(0o755)
    script = BASH.format(words="shapecnn train mvcnn-p", position=2)
    environment = os.environ | {"PATH": f"{program.parent}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert (done.stdout, done.stderr) == ("mvcnn-psb\n", "")


def test_nothing_slow_is_imported() -> None:
    code = (
        "import sys; from click.shell_completion import ShellComplete; from shapecnn.cli.main import cli\n"
        "ShellComplete(cli, {}, 'shapecnn', '_').get_completions(['train'], 'mv')\n"
        "print(sorted({'torch', 'timm', 'numpy', 'numba', 'pydantic', 'pyarrow'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_models_are_offered_by_name_and_runs_as_folders(place: Path) -> None:
    from shapecnn.models.untrained import UNTRAINED

    for folder, file in (("my-run", "model.json"), ("runs/other", "model.json"), ("my-index", "index.json")):
        (place / folder).mkdir(parents=True)
        (place / folder / file).touch()
    assert {*MODELS} == {*UNTRAINED}
    names = [("plain", name) for name in MODELS]
    assert offered("eval") == [*names, ("plain", "my-run")]
    assert offered("eval", last="@s") == [("plain", "@sph")]
    assert offered("compare", "my-run", last="@i") == [("plain", "@imagenet")]
    assert offered("index", "meshes", "new", "--model", last="my") == [("plain", "my-run")]
    assert offered("predict", last="runs/") == [("plain", "runs/other")]
    assert offered("predict", last="nothing") == [("dir", "nothing")]  # the shell goes into folders
    assert offered("query") == [("plain", "my-index")]


def test_bash_offers_models_although_it_breaks_words_at_an_at_sign(tmp_path: Path) -> None:
    """Bash passes ``@im`` as two words, and replaces both by the completion."""
    program = tmp_path / "bin" / "shapecnn"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nfrom shapecnn.cli.main import main\n\nmain()\n")
    program.chmod(0o755)
    environment = os.environ | {"PATH": f"{program.parent}:{os.environ['PATH']}"}
    for words, position, expected in (
        ("shapecnn eval @ im", 3, "@imagenet\n"),
        ("shapecnn compare my-run @ s", 4, "@sph\n"),
        ("shapecnn index meshes new --model @ im", 6, "@imagenet\n"),
        ("shapecnn eval @", 2, "@imagenet\n@sph\n@lfd\n@fisher\n"),
        ("shapecnn eval ''", 2, "@imagenet\n@sph\n@lfd\n@fisher\n"),
    ):
        script = BASH.format(words=words, position=position)
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, env=environment)
        assert (done.stdout, done.stderr) == (expected, "")
