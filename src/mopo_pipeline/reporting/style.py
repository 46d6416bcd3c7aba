"""One look for every figure; colours that stay apart for colour-blind readers (Okabe and Ito)."""

from io import BytesIO

from matplotlib.axes import Axes
from matplotlib.figure import Figure

REFERENCE, POLICY, OPTIMUM, THRESHOLD = "#6E6E6E", "#D55E00", "#000000", "#007A5A"
OBJECTIVES = ("#0072B2", "#CC79A7", "#E69F00", "#56B4E9", "#009E73", "#8C564B")
INTERVAL = 1.96
"""Standard errors on either side of a value that are drawn, 95 % where it is nearly normal."""
SMALL, NORMAL, LARGE = 8.5, 9.5, 11.0


def colour(index: int) -> str:
    """Colour of the objective with this index."""
    return OBJECTIVES[index % len(OBJECTIVES)]


def new_figure(rows: int, columns: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """A figure without pyplot and its axes in reading order; sizes in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    return figure, [tidy(axis) for axis in axes.ravel()]


def tidy(axis: Axes) -> Axes:
    """Remove what carries no information."""
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(True, color="#E4E4E4", linewidth=0.7)
    axis.set_axisbelow(True)
    axis.tick_params(labelsize=SMALL)
    return axis


def label(axis: Axes, x: str, y: str, title: str = "") -> None:
    """Axis labels and a left-aligned title."""
    axis.set_xlabel(x, fontsize=NORMAL)
    axis.set_ylabel(y, fontsize=NORMAL)
    if title:
        axis.set_title(title, fontsize=LARGE, loc="left")


def nothing(text: str) -> Figure:
    """A figure that says why it is empty."""
    figure, (axis,) = new_figure(1, 1, 7.0, 1.6)
    axis.axis("off")
    axis.text(0.5, 0.5, text, ha="center", va="center", fontsize=LARGE, color=REFERENCE)
    return figure


def png(figure: Figure, dpi: int = 120) -> bytes:
    """The figure as a picture."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, facecolor="white")
    return buffer.getvalue()
