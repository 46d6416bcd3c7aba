"""Nodes of the report stage."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from mopo_pipeline.parameters.base import TaskParams
from mopo_pipeline.parameters.report import ReportParams

if TYPE_CHECKING:
    from mopo_pipeline.evaluation.certificate import Certificate
    from mopo_pipeline.plan.training_plan import TrainingPlan
    from mopo_pipeline.reporting.picture import Picture


def tabulate_pareto(
    objective_values: pd.DataFrame,
    evaluation_summary: dict[str, Any],
    training_plan: "TrainingPlan",
    exact_reference: dict[str, Any],
    params: ReportParams,
) -> pd.DataFrame:
    """Reference, policy, plan and optimum as points, with dominance and hypervolume."""
    from mopo_pipeline.reporting.tables import pareto_report

    return pareto_report(
        objective_values,
        training_plan,
        exact_reference,
        evaluation_summary["estimator"],
        params.hypervolume_reference,
    )


def summarise_run(
    threshold_checks: pd.DataFrame,
    training_plan: "TrainingPlan",
    evaluation_summary: dict[str, Any],
    exact_reference: dict[str, Any],
    certificate: "Certificate",
    certificate_power: dict[str, Any],
    preference_model_metrics: dict[str, Any],
    training_findings: list[dict[str, Any]],
    ingest_report: dict[str, Any],
    task: TaskParams,
    params: ReportParams,
) -> dict[str, Any]:
    """The run's result for machines."""
    from mopo_pipeline.language.reading import told_in_part
    from mopo_pipeline.reporting.summary import run_summary

    labels = told_in_part("judge of labels", ingest_report.get("read_in_part"))
    return run_summary(
        threshold_checks,
        training_plan,
        evaluation_summary,
        exact_reference,
        certificate,
        environment=params.environment,
        seed=task.seed,
        seconds=params.seconds,
        found=[*(f.as_dict() for f in labels), *preference_model_metrics["findings"]],
        foreseen=certificate_power["findings"],
        trained=training_findings,
    )


def write_report(
    run_summary: dict[str, Any],
    training_plan: "TrainingPlan",
    plan_table: dict[str, Any],
    evaluation_summary: dict[str, Any],
    threshold_checks: pd.DataFrame,
    pareto_report: pd.DataFrame,
    ingest_report: dict[str, Any],
    preference_report: dict[str, Any],
    preference_model_metrics: dict[str, Any],
    completions: pd.DataFrame,
    scores: pd.DataFrame,
    certificate: "Certificate",
    capability: list[dict[str, Any]],
    value_figure: "Picture",
    front_figure: "Picture",
    training_figure: "Picture",
    validation_figure: "Picture",
    multiplier_figure: "Picture",
    calibration_figure: "Picture",
    agreement_figure: "Picture",
    params: ReportParams,
) -> str:
    """The page a person reads."""
    from mopo_pipeline.reporting.page import render_page

    return render_page(
        params=params,
        summary=run_summary,
        certificate=certificate,
        plan=training_plan,
        costs=plan_table["objectives"],
        evaluation=evaluation_summary,
        checks=threshold_checks,
        pareto=pareto_report,
        ingest=ingest_report,
        preferences=preference_report,
        capability=capability,
        model=preference_model_metrics,
        samples=_samples(completions, scores, training_plan, evaluation_summary, params),
        figures={
            "value": value_figure,
            "front": front_figure,
            "training": training_figure,
            "validation": validation_figure,
            "multiplier": multiplier_figure,
            "calibration": calibration_figure,
            "agreement": agreement_figure,
        },
    )


def print_summary(run_summary: dict[str, Any], report: str, params: ReportParams) -> None:
    """The closing table and where the page lies; ``report`` only says that it has been written."""
    from mopo_pipeline.reporting.summary import closing_table

    path = None if params.path is None else str(Path(params.path).resolve())
    closing_table(run_summary, path, params.command)


def _samples(
    completions: pd.DataFrame,
    scores: pd.DataFrame,
    plan: "TrainingPlan",
    evaluation: dict[str, Any],
    params: ReportParams,
) -> list[dict[str, Any]]:
    """Answers in groups, malformed ones among them where the task has a grammar."""
    from mopo_pipeline.reporting.samples import sample_groups

    grammar = evaluation["well_formed"]["policy"] is not None
    return sample_groups(
        completions, scores, plan.objectives, params.sample_prompts, grammar=grammar
    )
