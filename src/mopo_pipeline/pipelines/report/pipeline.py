"""Wiring of the report stage."""

from typing import Any

from kedro.pipeline import Node, Pipeline

from mopo_pipeline.pipelines.lazy import lazy
from mopo_pipeline.pipelines.stage import stage

FIGURES = ("value", "front", "training", "validation", "multiplier", "calibration", "agreement")

TOLD = (
    "run_summary",
    "training_plan",
    "plan_table",
    "evaluation_summary",
    "threshold_checks",
    "pareto_report",
    "ingest_report",
    "preference_report",
    "preference_model_metrics",
    "completions",
    "scores",
    "certificate",
    "capability",
    *(f"{name}_figure" for name in FIGURES),
)


def create_pipeline(**_: Any) -> Pipeline:
    """Everything a run produced to figures, tables, one page and the closing table."""
    return stage(
        "report",
        [
            Node(
                lazy("mopo_pipeline.pipelines.report.nodes:tabulate_pareto"),
                [
                    "objective_values",
                    "evaluation_summary",
                    "training_plan",
                    "exact_reference",
                    "params:report",
                ],
                "pareto_report",
                name="tabulate_pareto",
            ),
            Node(
                lazy("mopo_pipeline.reporting.figures:draw_figures"),
                [
                    "objective_values",
                    "training_plan",
                    "exact_reference",
                    "training_log",
                    "reference_log",
                    "preference_model_metrics",
                    "agreement_matrix",
                    "evaluation_summary",
                    "plan_table",
                ],
                {name: f"{name}_figure" for name in FIGURES},
                name="draw_figures",
            ),
            Node(
                lazy("mopo_pipeline.pipelines.report.nodes:summarise_run"),
                [
                    "threshold_checks",
                    "training_plan",
                    "evaluation_summary",
                    "exact_reference",
                    "certificate",
                    "certificate_power",
                    "preference_model_metrics",
                    "training_findings",
                    "ingest_report",
                    "params:task",
                    "params:report",
                ],
                "run_summary",
                name="summarise_run",
            ),
            Node(
                lazy("mopo_pipeline.reporting.capability:capability_table"),
                ["capability"],
                None,
                name="print_capability",
            ),
            *_told(),
        ],
    )


def _told() -> list[Node]:
    """The page, and the closing table."""
    return [
        Node(
            lazy("mopo_pipeline.pipelines.report.nodes:write_report"),
            {name: name for name in TOLD} | {"params": "params:report"},
            "report",
            name="write_report",
        ),
        Node(
            lazy("mopo_pipeline.pipelines.report.nodes:print_summary"),
            ["run_summary", "report", "params:report"],
            None,
            name="print_summary",
        ),
    ]
