"""What the policy could do before and can do still, as a table."""

from typing import Any

from mopo_pipeline.reporting.summary import digits


def capability_table(capability: list[dict[str, Any]]) -> None:
    """Print every measure of both models and what changed, coloured where the change is certain; fits 80 columns."""
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(
        box=box.SIMPLE_HEAD,
        title="Capability: the policy beside its reference",
        title_justify="left",
        pad_edge=False,
    )
    table.add_column("measure")
    for heading in ("reference", "policy", "change", "interval"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in capability:
        change = row["change"]
        colour = "yellow" if certain(change) else ""
        said = digits(change["value"])
        table.add_row(
            escape(f"{row['measure']} ({row['unit']})"),
            digits(row["reference"]["value"]),
            digits(row["policy"]["value"]),
            f"[{colour}]{said}[/{colour}]" if colour else said,
            _span(change),
        )
    Console().print(table)


def _span(change: dict[str, float | None]) -> str:
    """Both ends with their signs, empty where unknown."""
    low, high = change["low"], change["high"]
    return "" if low is None or high is None else f"{low:+.3f} to {high:+.3f}"


def certain(change: dict[str, float | None]) -> bool:
    """Whether an interval holds no zero.

    >>> certain({"value": 0.2, "low": 0.1, "high": 0.3}), certain({"value": 0.2, "low": None, "high": None})
    (True, False)
    """
    low, high = change["low"], change["high"]
    return low is not None and high is not None and (low > 0.0 or high < 0.0)
