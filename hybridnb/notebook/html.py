"""HTML that needs no style sheet: every element carries its own look, and says the same in words when the looks are taken away.

Colours are those of the page, except the states', which stand out on white and on black. What is drawn is drawn by borders: browsers
print these, and leave backgrounds out.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import NewType

from ..drawing.look import STYLES
from ..show import SIGNS, Column
from .telling import RECORDED

Html = NewType("Html", str)  # what may stand in a page as it is

_GREY = "rgba(128,128,128,.45)"
_CARD = (
    f"border:1px solid {_GREY};border-radius:6px;padding:8px 12px;margin:2px 0;min-width:min-content;"
    "font-size:13px;line-height:1.5;text-align:left"
)
_CELL = "text-align:left;vertical-align:baseline;padding:1px 14px 1px 0;border:0;white-space:normal"
_TABLE = "border-collapse:collapse;table-layout:auto;border:0;margin:{};font-size:{};font-variant-numeric:tabular-nums"
_ROW = "background:transparent"  # the themes of notebooks give every other row a colour
_DISC = (
    "display:inline-block;width:15px;line-height:15px;border-radius:8px;font-size:10px;text-align:center;vertical-align:1px;"
    "print-color-adjust:exact;"
)
_LOG = (
    f"margin:2px 0 4px;padding:2px 0 2px 10px;border:0;border-left:3px solid {_GREY};background:transparent;color:inherit;"
    "font-family:monospace;font-size:12px;line-height:1.4;white-space:pre-wrap;overflow-wrap:anywhere"
)
_FRAME = f"display:inline-block;width:{{}};height:6px;border:1px solid {_GREY};border-radius:4px;overflow:hidden;line-height:0;"
_ROOM = 12  # characters of 0.6 em
_TEXT_STYLE = "\ufe0e"  # asks for a character, not for an emoji


def text(words: str) -> Html:
    """Escape what is not HTML."""
    return Html(escape(words, quote=False))


def element(name: str, *inside: Html, style: str = "") -> Html:
    return Html(f'<{name} style="{style}">{"".join(inside)}</{name}>' if style else f"<{name}>{''.join(inside)}</{name}>")


def joined(parts: Iterable[Html], between: str = "") -> Html:
    return Html(between.join(part for part in parts if part))


def card(*parts: Html) -> Html:
    """Put the parts of a card, one below the other, into its frame."""
    return element("div", joined(parts, "\n"), style=_CARD)


def row(*parts: Html) -> Html:
    return element("div", joined(parts, " ")) if any(parts) else Html("")


def bold(words: str) -> Html:
    return element("b", text(words)) if words else Html("")


def apart(words: str) -> Html:
    """A user's words within a sentence: they do not turn what stands around them, in whatever script they are."""
    return element("bdi", text(words))


def muted(words: str) -> Html:
    return element("span", text(words), style="opacity:.75") if words else Html("")


def small(*parts: Html) -> Html:
    """A line that is read last."""
    return element("div", joined(parts, " · "), style="font-size:12px;opacity:.75") if any(parts) else Html("")


def sign(state: str) -> Html:
    """A state's symbol, on a disc of its colour."""
    if state == RECORDED:
        return element("span", text("○"), style=f"{_DISC}opacity:.75")
    look = f"{_DISC}color:#fff;background:{STYLES[state].strong}"
    return element("span", text(SIGNS[state].symbol + _TEXT_STYLE), style=look)


def counts(tally: Mapping[str, int]) -> Html:
    """How many there are in each state, in words."""
    return joined(
        (
            element(
                "span", sign(state), text(f" {number:,} {'not run yet' if state == RECORDED else state}"), style="margin-right:14px"
            )
            for state, number in tally.items()
        ),
        " ",
    )


def bar(percent: float) -> Html:
    """Progress, as a bar and in words."""
    fill = element("span", style=f"display:block;width:{percent:.3g}%;border-top:6px solid {STYLES['running'].strong}")
    return Html(f"{element('span', fill, style=_FRAME.format('160px') + 'vertical-align:middle')} {bold(f'{int(percent)} %')}")


def stack(tally: Mapping[str, int]) -> Html:
    """The states of many jobs as one bar; the words that it needs are those of `counts`."""
    if not tally.keys() - {RECORDED}:
        return Html("")
    total = sum(tally.values())
    parts = (
        element("span", style=f"display:inline-block;width:{100 * n / total:.4g}%;border-top:6px solid {STYLES[state].strong}")
        for state, n in tally.items()
        if state != RECORDED
    )
    return element("div", joined(parts), style=f"{_FRAME.format('100%')}max-width:420px;white-space:nowrap;font-size:0")


def facts(rows: Iterable[tuple[str, Html]]) -> Html:
    """What is known, one thing a row, each under its word."""
    label = f"{_CELL};opacity:.75;white-space:nowrap"
    lines = [
        element(
            "tr", element("td", text(word), style=label), element("td", told, style=f"{_CELL};overflow-wrap:anywhere"), style=_ROW
        )
        for word, told in rows
        if told
    ]
    return element("table", *lines, style=_TABLE.format("2px 0", "13px")) if lines else Html("")


def table(head: Sequence[Column], rows: Sequence[Sequence[Html]]) -> Html:
    """A table of what is escaped already; a column without content goes, one that is clipped on a terminal is broken here."""
    used = [i for i in range(len(head)) if any(cells[i] for cells in rows)]
    if not used:
        return Html("")
    styles = {i: _cell_style(head[i], longest=max(len(cells[i]) for cells in rows)) for i in used}
    title = f"font-weight:600;opacity:.75;border-bottom:1px solid {_GREY}"
    top = element("tr", *(element("th", text(head[i].title), style=f"{styles[i]};{title}") for i in used), style=_ROW)
    body = (
        element("tr", *(element("td", cells[i], style=styles[i] if cells[i] else "") for i in used), style=_ROW) for cells in rows
    )
    return element(
        "table", element("thead", top), Html("\n"), element("tbody", joined(body, "\n")), style=_TABLE.format("6px 0", "12px")
    )


def _cell_style(column: Column, *, longest: int) -> str:
    """Say how a column looks; one that is broken has at least room for its longest cell, or for its `least` characters."""
    side = "text-align:right" if column.right else "text-align:left"
    room = 0.6 * min(column.least or _ROOM, longest)
    wrap = f"min-width:{room:.1f}em;overflow-wrap:anywhere" if column.clip else "white-space:nowrap"
    return f"{side};padding:2px 10px 2px 0;{wrap}"


def log(lines: Sequence[str]) -> Html:
    """The last lines of a log."""
    return element("pre", text("\n".join(lines)), style=_LOG) if lines else Html("")


def picture(svg: str, about: str) -> Html:
    """Show a picture at most as wide as the page.

    As an image, not as elements of the page: of an svg element, a notebook that is not trusted shows only the words, without order, and
    its colours would follow the system where the page has a theme of its own. An image follows the page, and has its own paper.
    """
    source = b64encode(svg.encode()).decode()
    look = "display:block;max-width:100%;height:auto;border-radius:4px;margin:6px 0"
    return Html(f'<img alt="{escape(about)}" style="{look}" src="data:image/svg+xml;base64,{source}">')
