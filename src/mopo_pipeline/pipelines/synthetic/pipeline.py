"""Wiring of the synthetic experiment."""

from typing import Any

from kedro.pipeline import Node, Pipeline

from mopo_pipeline.pipelines.synthetic import nodes


def create_pipeline(**_: Any) -> Pipeline:
    """Structures to a table of shortfalls, a table of coverages and a figure."""
    group = "params:synthetic"
    return Pipeline(
        [
            Node(nodes.sweep_structures, [group], "synthetic_sweep", name="sweep_structures"),
            Node(nodes.measure_coverage, [group], "synthetic_coverage", name="measure_coverage"),
            Node(nodes.draw_synthetic, ["synthetic_sweep", group], "synthetic_figure",
                 name="draw_synthetic"),
        ],
        tags="synthetic",
    )  # fmt: skip
