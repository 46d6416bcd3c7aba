"""Nodes of the export."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from mopo_pipeline.parameters.evaluate import EvaluateParams
from mopo_pipeline.parameters.export import ExportParams
from mopo_pipeline.parameters.reference import ReferenceParams

if TYPE_CHECKING:
    from mopo_pipeline.evaluation.certificate import Certificate

log = logging.getLogger(__name__)


def release_policy(
    policy: Path,
    reference_policy: Path,
    responses: pd.DataFrame,
    threshold_checks: pd.DataFrame,
    evaluation_summary: dict[str, Any],
    certificate: "Certificate",
    params: ExportParams,
    evaluate: EvaluateParams,
    reference: ReferenceParams,
    ingest_report: dict[str, Any],
) -> dict[str, Any]:
    """Write the policy where it is used; stop here without a certificate."""
    from mopo_pipeline.policies.card import Measured, origin
    from mopo_pipeline.policies.release import write_release

    made_of = origin(reference.model, ingest_report, evaluate.sampling, params.licence)
    estimator = evaluation_summary["estimator"]
    release = write_release(
        Path(policy),
        Path(reference_policy),
        responses,
        Measured(threshold_checks, estimator, certificate, made_of),
        params,
        evaluate.sampling,
    )
    log.info("the policy, its card and its certificate lie in %s", release["path"])
    return release
