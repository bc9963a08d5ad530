"""HTML as a browser reads it."""

from typing import Any
from xml.etree.ElementTree import Element

import html5lib as _html5lib  # type: ignore[import-untyped]

html5lib: Any = _html5lib


def parsed(text: str, *, strict: bool = True) -> Element:
    """The `html` element. `strict`: each error of the HTML raises."""
    tree: Element = html5lib.HTMLParser(strict=strict, namespaceHTMLElements=False).parse(text)
    return tree
