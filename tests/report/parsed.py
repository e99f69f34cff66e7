"""A page as a browser would see it."""

from __future__ import annotations

import base64
import io
from html.parser import HTMLParser

import numpy as np
from PIL import Image

VOID = {"meta", "img", "link", "br", "hr", "input"}


class Page(HTMLParser):
    """What a browser would see: balanced elements, their attributes, and the text of each section."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.sections: list[str] = []
        self.text = ""
        self.feed(source)
        self.close()
        assert self.open == []
        self.sections = [" ".join(text.split()) for text in self.sections]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "section":
            self.sections.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if "section" in self.open:
            self.sections[-1] += f" {data}"

    def pictures(self) -> list[np.ndarray]:
        pictures = []
        for tag, attributes in self.elements:
            if tag == "img":
                kind, _, data = attributes["src"].partition(",")
                assert kind == "data:image/png;base64"
                assert attributes["alt"]
                with Image.open(io.BytesIO(base64.b64decode(data, validate=True))) as picture:
                    assert picture.format == "PNG"
                    pictures.append(np.asarray(picture))
        return pictures
