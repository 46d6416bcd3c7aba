"""What a steerable policy is told at some thresholds, and what that is worth."""

import pandas as pd

from mopo_pipeline.parameters.base import TaskParams


def steered_table(steered_answers: pd.DataFrame, task: TaskParams) -> None:
    """Print thresholds, words and measured values; fits 80 columns."""
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    first = steered_answers.iloc[0]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("objective", no_wrap=True)
    for heading in ("asked", "measured"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name in task.names:
        threshold = first.get(f"threshold_{name}")
        asked = "primary" if threshold is None else f"{threshold:.3f}"
        table.add_row(name, asked, f"{first[f'value_{name}']:.3f}")
    console = Console()  # words before the table: its title would be as narrow as it is
    words = f"Steered in {1000 * first['seconds']:.0f} ms: {escape(first['words'])}"
    console.print(words, highlight=False)
    console.print(table)
