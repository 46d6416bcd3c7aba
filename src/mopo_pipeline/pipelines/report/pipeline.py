"""Wiring of the report stage."""

from typing import Any

from kedro.pipeline import Node, Pipeline

from mopo_pipeline.pipelines.report import nodes

DRAWN_FROM = (
    "objective_values",
    "training_plan",
    "exact_reference",
    "training_log",
    "reference_log",
    "preference_model_metrics",
    "agreement_matrix",
    "evaluation_summary",
)

TOLD = (
    "run_summary",
    "threshold_checks",
    "pareto_report",
    "ingest_report",
    "preference_report",
    "completions",
    "scores",
    "training_findings",
    "certificate",
    "certificate_power",
)


def create_pipeline(**_: Any) -> Pipeline:
    """Everything a run produced to figures, tables, one page and the closing table."""
    return Pipeline(
        [
            Node(
                nodes.tabulate_pareto,
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
                nodes.draw_figures,
                list(DRAWN_FROM),
                [
                    "value_figure",
                    "front_figure",
                    "training_figure",
                    "multiplier_figure",
                    "calibration_figure",
                    "agreement_figure",
                ],
                name="draw_figures",
            ),
            Node(
                nodes.summarise_run,
                [
                    "threshold_checks",
                    "training_plan",
                    "evaluation_summary",
                    "exact_reference",
                    "certificate",
                    "certificate_power",
                    "params:task",
                    "params:report",
                ],
                "run_summary",
                name="summarise_run",
            ),
            Node(
                nodes.write_report,
                {name: name for name in (*TOLD, *DRAWN_FROM)} | {"params": "params:report"},
                "report",
                name="write_report",
            ),
            Node(
                nodes.print_summary,
                ["run_summary", "report", "params:report"],
                None,
                name="print_summary",
            ),
        ],
        tags="report",
    )
