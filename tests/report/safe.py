"""What holds for every page: one file, no other script than the known one, nothing loaded, nothing run by a name."""

from __future__ import annotations

import html
import re
from itertools import pairwise

from shapecnn.report.html import policy, script, stylesheet
from tests.report.parsed import Page

LOADING = {"link", "iframe", "object", "embed", "base", "form", "frame", "audio", "video", "source", "track"}


def require_safe(source: str) -> Page:
    """The parsed page, once it is known to load nothing and to run only the script of the package."""
    assert source.startswith("<!DOCTYPE html>")
    documents = source.count("<!DOCTYPE html>")
    assert re.findall(r"<script[^>]*>(.*?)</script>", source, re.DOTALL) == [script()] * documents
    assert re.findall(r"<style[^>]*>(.*?)</style>", source, re.DOTALL) == [stylesheet()] * documents
    page = Page(source)
    tags = [tag for tag, _ in page.elements]
    assert tags.count("script") == tags.count("style") == tags.count("main") == documents
    assert not LOADING & {*tags}
    policies = [a["content"] for tag, a in page.elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert policies == [policy(stylesheet(), script())] * documents
    assert ("html", {"lang": "en"}) in page.elements
    for tag, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], (tag, attributes)
        if tag == "img":
            assert attributes["alt"]
            assert attributes["src"].startswith("data:image/png;base64,")
        assert not re.match(r"\s*(?:[a-z]+:|//)", html.unescape(attributes.get("href", "")), re.IGNORECASE)
    for wanted in ("://", "url(", "@import"):
        assert wanted not in source
    require_headings_in_order(tags)
    anchors = [a["href"][1:] for _, a in page.elements if a.get("href", "").startswith("#")]
    names = [a["id"] for _, a in page.elements if "id" in a]
    assert len(names) == len({*names})
    assert {*anchors} <= {*names}
    return page


def require_headings_in_order(tags: list[str]) -> None:
    """Each heading is at most one level below the heading before it, and the first is the title."""
    levels = [int(tag[1]) for tag in tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels)), levels
