"""One look for every figure; colours that stay apart for colour-blind readers (Okabe and Ito)."""

from dataclasses import dataclass
from textwrap import fill
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

INK, GRID, FILL = "#1d1f21", "#e4e4e4", "#ececec"
REFERENCE, POLICY, OPTIMUM, THRESHOLD = "#6e6e6e", "#d55e00", INK, "#007a5a"
OBJECTIVES = ("#0072b2", "#cc79a7", "#e69f00", "#56b4e9", "#009e73", "#8c564b")
INTERVAL = 1.96
"""Standard errors on either side of a value that are drawn, 95 % where it is nearly normal."""
SMALL, NORMAL, LARGE = 9.5, 10.0, 11.0
WIDEST = 10.8
"""Inches: what a page shows at its own size on a screen of 1280 pixels, so that 9.5 points stay 9.5."""
LETTERS = 12
"""Letters of a legend or a sentence that an inch has room for."""


@dataclass(frozen=True)
class Sheet:
    """What a figure is drawn on.

    Attributes:
        width: inches.
        columns: panels side by side, at most.
    """

    width: float
    columns: int

    def broken(self, text: str, indent: float = 0.0) -> str:
        """``text`` in lines that fit, ``indent`` inches taken by something else."""
        return fill(text, int((self.width - indent) * LETTERS))


WIDE = Sheet(WIDEST, 3)
NARROW = Sheet(3.85, 1)
"""A telephone of 400 pixels."""


def colour(index: int) -> str:
    """Colour of the objective with this index."""
    return OBJECTIVES[index % len(OBJECTIVES)]


def new_figure(rows: int, columns: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """A figure without pyplot and its axes in reading order; sizes in inches."""
    layout = ConstrainedLayoutEngine(h_pad=0.07, w_pad=0.05)
    figure = Figure(figsize=(width, height), layout=layout)
    axes = figure.subplots(rows, columns, squeeze=False)
    return figure, [tidy(axis) for axis in axes.ravel()]


def tidy(axis: Axes) -> Axes:
    """Remove what carries no information."""
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["left", "bottom"]].set_color(REFERENCE)
    axis.grid(True, color=GRID, linewidth=0.7)
    axis.set_axisbelow(True)
    axis.tick_params(which="both", labelsize=SMALL, color=REFERENCE)
    return axis


def label(axis: Axes, x: str, y: str, title: str = "") -> None:
    """Axis labels and a left-aligned title."""
    axis.set_xlabel(x, fontsize=NORMAL)
    axis.set_ylabel(y, fontsize=NORMAL)
    if title:
        axis.set_title(title, fontsize=LARGE, loc="left")


def legend_below(figure: Figure, axes: list[Axes], columns: int, sheet: Sheet) -> None:
    """One legend under all panels, what they share named once."""
    handles: dict[str, Any] = {}
    for axis in axes:
        for handle, text in zip(*axis.get_legend_handles_labels(), strict=True):
            handles.setdefault(str(text), handle)
    figure.legend(
        list(handles.values()),
        [sheet.broken(text, indent=0.6) for text in handles],
        loc="outside lower center",
        ncols=columns,
        fontsize=SMALL,
        frameon=False,
    )


def nothing(text: str, sheet: Sheet = WIDE) -> Figure:
    """A figure that says why it is empty."""
    width = min(7.0, sheet.width)
    text = Sheet(width, 1).broken(text)
    figure, (axis,) = new_figure(1, 1, width, 0.5 + 0.2 * len(text.splitlines()))
    axis.axis("off")
    axis.text(0.5, 0.5, text, ha="center", va="center", fontsize=LARGE, color=REFERENCE)
    return figure
