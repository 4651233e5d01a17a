"""Reads a report as a browser would, far enough to ask what is in it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from importlib.resources import files
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
        if element is not None and element.tag == "script":
            element.texts.append(data)
            return
        while element is not None:
            element.texts.append(data)
            element = element.parent

    @property
    def text(self) -> str:
        return self.root.text

    def table(self, label: str) -> list[list[str]]:
        """The body rows, as texts, of the table in the region of that accessible name."""
        found = self.tables(label)
        if label not in found:
            raise AssertionError(f"no table {label!r}")
        return found[label]

    def tables(self, start: str) -> dict[str, list[list[str]]]:
        """By accessible name, of those that begin so: the body rows, as texts."""
        named = {e.attributes.get("aria-label", ""): e for e in self.root.all("div")}
        return {
            name: [[cell.text for cell in tr.children] for body in region.all("tbody") for tr in body.all("tr")]
            for name, region in named.items()
            if name.startswith(start) and region.all("table")
        }

    @property
    def scripts(self) -> list[str]:
        """Those that a browser would run."""
        return ["".join(e.texts) for e in self.root.all("script") if e.attributes.get("type") != "application/json"]

    def drawn(self, name: str) -> list[dict[str, str | float | None]]:
        """The rows of a table that the page holds as data."""
        place = next(e for e in self.root.all("div") if e.attributes.get("data-name") == name)
        columns = json.loads("".join(place.all("script")[0].texts))
        cells = [[c["texts"][at] for at in c["rows"]] if "texts" in c else c["rows"] for c in columns]
        return [dict(zip((c["key"] for c in columns), row, strict=True)) for row in zip(*cells, strict=True)]

    def stands_alone(self) -> None:
        """It loads nothing, and runs what its policy allows: one script, the package's own."""
        ours = (files("dsabench.reports") / "templates" / "report.js").read_text(encoding="utf-8")
        assert self.scripts == [ours]
        assert not self.handlers
        assert not self.root.all("img")
        assert "@import" not in self.source
        for reference in self.references:
            assert reference.startswith(("#", "data:")), reference
        metas = [meta.attributes for meta in self.root.all("meta")]
        policy = next(each["content"] for each in metas if each.get("http-equiv") == "Content-Security-Policy")
        digest = base64.b64encode(hashlib.sha256(ours.encode()).digest()).decode()
        assert policy == f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:"

    def labelled(self, tag: str, label: str) -> Element:
        return next(e for e in self.root.all(tag) if e.attributes.get("aria-label") == label)
