"""A figure as it is kept: vectors that take their colours from the page, and points for whoever shows no vectors."""

import re
from dataclasses import dataclass
from html import escape
from io import BytesIO, StringIO

import matplotlib
from matplotlib.figure import Figure

DPI = 192
"""Of the points: two for each of a page's pixels."""

_IDS = re.compile(r' id="[a-zA-Z0-9.]+_\d+"')
_COLOUR = re.compile(r"(?<=[:] )#([0-9a-f]{6})\b")
_HEAD = re.compile(r".*?<svg ", flags=re.DOTALL)
_METADATA = re.compile(r"\s*<metadata>.*?</metadata>", flags=re.DOTALL)


@dataclass(frozen=True)
class Picture:
    """One figure, drawn once.

    Attributes:
        svg: an ``<svg>`` element that stands in a page or alone; what it shows in words is its label.
        png: the same on white.
        narrow: the same for a telephone; empty where there is none.
    """

    svg: str
    png: bytes
    narrow: str = ""

    def _repr_svg_(self) -> str:
        return self.svg


def drawn(figure: Figure, name: str, alt: str, narrow: Figure | None = None) -> Picture:
    """A figure as a picture; its bytes depend on nothing but what is drawn.

    Args:
        figure: to be drawn.
        name: among the pictures of a page, so that no two use one id.
        alt: what it shows, in words.
        narrow: the same drawn for a telephone.
    """
    points = BytesIO()
    vectors = _vectors(figure, name, alt)
    figure.savefig(points, format="png", dpi=DPI, facecolor="white", metadata={"Description": alt})
    small = "" if narrow is None else _vectors(narrow, f"{name}, narrow", alt)
    return Picture(vectors, points.getvalue(), small)


def _vectors(figure: Figure, salt: str, alt: str) -> str:
    """A figure as an SVG whose ids are its own by ``salt``."""
    text = StringIO()
    if (layout := figure.get_layout_engine()) is not None:
        layout.execute(figure)
        figure.set_layout_engine(
            None
        )  # laid out once: left alone, each file would draw it once more to lay it out
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt}):
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    return _labelled(text.getvalue(), alt)


def themed(svg: str) -> str:
    """A picture for a page that may be dark: each colour can be given another one by name.

    >>> themed('<path style="stroke: #d55e00"/>')
    '<path style="stroke: var(--c-d55e00, #d55e00)"/>'
    """
    return _COLOUR.sub(r"var(--c-\1, #\1)", svg)


def _labelled(svg: str, alt: str) -> str:
    """Matplotlib's file as an element of a page: no ids that two pictures share, and what it shows in words."""
    body = _IDS.sub("", _METADATA.sub("", _HEAD.sub("", svg, count=1)))
    return f'<svg role="img" aria-label="{escape(alt)}" {body.strip()}\n'
