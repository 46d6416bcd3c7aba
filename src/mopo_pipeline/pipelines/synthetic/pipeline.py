"""Wiring of the synthetic experiment."""

from typing import Any

from kedro.pipeline import Node, Pipeline

from mopo_pipeline.pipelines.synthetic import nodes


def create_pipeline(**_: Any) -> Pipeline:
    """Structures to tables of shortfalls, coverage and distances, and to their figures."""
    group = "params:synthetic"
    return Pipeline(
        [
            Node(nodes.sweep_structures, [group], ["synthetic_sweep", "synthetic_shortfalls"],
                 name="sweep_structures"),
            Node(nodes.measure_coverage, [group], "synthetic_coverage", name="measure_coverage"),
            Node(nodes.run_published_updates, [group], "synthetic_stochastic",
                 name="run_published_updates"),
            Node(nodes.draw_structures, ["synthetic_sweep", group], "synthetic_figures",
                 name="draw_structures"),
            Node(nodes.draw_published_updates, ["synthetic_stochastic"],
                 "synthetic_stochastic_figure", name="draw_published_updates"),
        ],
        tags="synthetic",
    )  # fmt: skip
