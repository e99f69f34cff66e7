"""The base of all pages: its policy allows its own style and script only, and no rule of the style is dead."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import jinja2
import pytest

import shapecnn
from shapecnn.report.html import asset, fill, policy, script, stylesheet

FOLDER = Path(shapecnn.__file__).parent / "report"


def test_the_policy_names_the_hashes_of_style_and_script() -> None:
    said = policy("a { color: red }", "alert(1)")
    for kind, text in (("style", "a { color: red }"), ("script", "alert(1)")):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in said
    assert said.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in said


def test_the_script_neither_writes_markup_nor_asks_for_anything() -> None:
    for word in ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "Function(", "fetch", "XMLHttp",
                 "import(", "setAttribute(\"on", "src", "</"):  # fmt: skip
        assert word not in script(), word


def test_the_tokens_are_variables_alone_and_all_of_them_are_used() -> None:
    tokens = re.sub(r"/\*.*?\*/", "", asset("tokens.css"), flags=re.DOTALL)
    assert {rule.strip() for rule in re.findall(r"([^{};]+)\{", tokens)} == {
        ":root", "@media (prefers-color-scheme: dark)"
    }  # fmt: skip
    names = re.findall(r"(--[\w-]+):", tokens)
    for name in names:
        assert f"var({name})" in asset("page.css"), name
    assert {*re.findall(r"var\((--[\w-]+)\)", stylesheet())} <= {*names}


def test_no_rule_of_the_style_is_dead() -> None:
    """Each class of the style sheet is named in a template, in the script, or by a module that draws."""
    rules = re.sub(r"/\*.*?\*/", "", asset("page.css"), flags=re.DOTALL)
    selectors = " ".join(re.findall(r"([^{}]+)\{", rules))
    sources = [file.read_text("utf-8") for kind in ("*.html", "*.js", "*.py") for file in FOLDER.glob(kind)]
    words = {word for source in sources for word in re.findall(r"[\w-]+", source)}
    made = {f"{kind}-{number}" for kind in ("series", "shade") for number in range(7)}
    assert {*re.findall(r"\.([a-z][\w-]*)", selectors)} - words - made == set()


def contrast(one: str, other: str) -> float:
    def luminance(colour: str) -> float:
        parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
        red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("dark", [False, True])
def test_text_has_the_contrast_of_level_aa_on_paper_and_on_cards(dark: bool) -> None:
    light, _, night = asset("tokens.css").partition("@media")
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", night if dark else light))
    for ground in ("paper", "tint"):
        for name in ("ink", "soft", "mark", "right", "wrong", "for", "against"):
            assert contrast(colours[name], colours[ground]) >= 4.5, (name, ground)
        for number in range(7):
            assert contrast(colours[f"series-{number}"], colours[ground]) >= 3, number
    assert contrast(colours["focus"], colours["paper"]) >= 3


def test_a_template_of_another_package_extends_the_same_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "room_with_a_page"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "own.html").write_text('{% extends "base.html" %}{% block content %}<h1>{{ name }}</h1>{% endblock %}')
    monkeypatch.syspath_prepend(str(tmp_path))
    source = fill("own.html", package="room_with_a_page", name="<b>\x1b")
    assert "<h1>&lt;b&gt;\\x1b</h1>" in source
    assert f"<style>{stylesheet()}</style>" in source
    with pytest.raises(jinja2.UndefinedError):
        fill("own.html", package="room_with_a_page")
    with pytest.raises(jinja2.TemplateNotFound):
        fill("none.html")
