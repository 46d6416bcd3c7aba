"""Wiring of the synthetic experiment."""

from typing import Any

from kedro.pipeline import Node, Pipeline

from mopo_pipeline.pipelines.lazy import lazy
from mopo_pipeline.pipelines.stage import stage

GROUP = "params:synthetic"


def create_pipeline(**_: Any) -> Pipeline:
    """Structures to tables of shortfalls, coverage and distances, and to their figures."""
    return stage(
        "synthetic",
        [
            Node(
                lazy("mopo_pipeline.experiments.synthetic:sweep"),
                [GROUP],
                "synthetic_sweep",
                name="sweep_structures",
            ),
            Node(
                lazy("mopo_pipeline.experiments.synthetic:shortfalls"),
                ["synthetic_sweep"],
                "synthetic_shortfalls",
                name="sum_up_structures",
            ),
            Node(
                lazy("mopo_pipeline.experiments.coverage:coverage"),
                [GROUP],
                "synthetic_coverage",
                name="measure_coverage",
            ),
            Node(
                lazy("mopo_pipeline.experiments.stochastic:distances"),
                [GROUP],
                "synthetic_stochastic",
                name="run_published_updates",
            ),
            Node(
                lazy("mopo_pipeline.reporting.synthetic:structure_figures"),
                ["synthetic_sweep", GROUP],
                "synthetic_figures",
                name="draw_structures",
            ),
            Node(
                lazy("mopo_pipeline.reporting.stochastic:distance_figure"),
                ["synthetic_stochastic"],
                "synthetic_stochastic_figure",
                name="draw_published_updates",
            ),
        ],
    )
