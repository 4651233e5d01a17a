"""Reads a report as a browser would, far enough to ask what is in it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

VOID = {"meta", "link", "br", "img", "hr", "input", "wbr"}
_REFERENCES = {"src", "href", "xlink:href", "action", "data", "poster", "srcset", "cite", "formaction", "background"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    parent: Element | None
    children: list[Element] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def all(self, tag: str) -> list[Element]:
        found = [child for child in self.children if child.tag == tag]
        for child in self.children:
            found += child.all(tag)
        return found

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


class Page(HTMLParser):
    """`root` is the tree; `unbalanced` names end tags that close nothing, or elements left open."""

    def __init__(self, path: Path) -> None:
        super().__init__(convert_charrefs=True)
        self.source = path.read_text(encoding="utf-8")
        self.root = Element("root", {}, None)
        self._open = self.root
        self.unbalanced: list[str] = []
        self.references: list[str] = []
        self.ids: list[str] = []
        self.handlers: list[str] = []
        self.feed(self.source)
        self.close()
        if self._open is not self.root:
            self.unbalanced.append(f"never closed: {self._open.tag}")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        element = Element(tag, attributes, self._open)
        self._open.children.append(element)
        for name, value in attributes.items():
            if name in _REFERENCES:
                self.references.append(value)
            if name == "id":
                self.ids.append(value)
            if name.startswith("on"):
                self.handlers.append(f"{tag} {name}")
            self.references += re.findall(r"url\(([^)]*)\)", value)
        if tag not in VOID:
            self._open = element

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._open.tag != tag or self._open.parent is None:
            self.unbalanced.append(f"</{tag}> in <{self._open.tag}>")
            return
        self._open = self._open.parent

    def handle_data(self, data: str) -> None:
        element: Element | None = self._open
        if element is not None and element.tag == "style":
            self.references += re.findall(r"url\(([^)]*)\)", data)
            return
        while element is not None:
            element.texts.append(data)
            element = element.parent

    @property
    def text(self) -> str:
        return self.root.text

    def table(self, label: str) -> list[list[str]]:
        """The body rows, as texts, of the table in the region of that accessible name."""
        for region in self.root.all("div"):
            if region.attributes.get("aria-label") == label:
                rows = region.all("tbody")
                return [[cell.text for cell in tr.children] for body in rows for tr in body.all("tr")]
        raise AssertionError(f"no table {label!r}")

    def labelled(self, tag: str, label: str) -> Element:
        return next(e for e in self.root.all(tag) if e.attributes.get("aria-label") == label)
