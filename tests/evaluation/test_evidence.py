"""What is counted behind a certificate is what its estimate rests on."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from evaluated import PLAN, certificate
from mopo_pipeline.evaluation.certify import Evidence
from mopo_pipeline.evaluation.checks import threshold_checks
from mopo_pipeline.evaluation.evidence import gather
from mopo_pipeline.evaluation.within_prompts import label_values
from mopo_pipeline.parameters.evaluate import EvaluateParams
from pocket_world import OBJECTIVES, World, world

UNKNOWN = {"clipped": None, "mean_ratio": None, "mean_ratio_low": None}
UNKNOWN |= {"drawn": dict.fromkeys(OBJECTIVES, 0.0), "carried": dict.fromkeys(OBJECTIVES)}
THRESHOLDS = {OBJECTIVES[1]: 0.4, OBJECTIVES[2]: 0.3}
ASKED = replace(PLAN, objectives=OBJECTIVES, thresholds=THRESHOLDS, targets=THRESHOLDS)


def gathered(held: World, policy: Path, pairs: pd.DataFrame) -> Evidence:
    completions = held.responses.assign(policy="policy")
    return gather(policy, held.responses, pairs, completions, UNKNOWN, OBJECTIVES)


def thinned(held: World, answers: int) -> pd.DataFrame:
    """Comparisons with labels of the last objective on pairs of a prompt's first few answers alone."""
    pairs, number = held.comparisons.copy(), held.responses.groupby("prompt_id").cumcount()
    early = set(held.responses.loc[number < answers, "response_id"])
    kept = pairs["response_a"].isin(early) & pairs["response_b"].isin(early)
    pairs.loc[~kept, OBJECTIVES[-1]] = np.nan
    return pairs


def test_the_objective_with_the_fewest_labelled_answers_counts(tmp_path: Path) -> None:
    """Three or four labelled answers a prompt draw its value towards one half, however many the others have."""
    held = world(0, prompts=60, pairs=60)
    said = []
    for pairs in (held.comparisons, thinned(held, 4)):
        values = label_values(held.responses, pairs, held.logprobs, OBJECTIVES, EvaluateParams(), 0)
        assert (values["effective"] >= 30).all()
        found = vars(gathered(held, tmp_path, pairs))
        said.append(certificate(threshold_checks(values, ASKED, {}), ASKED, **found))
    enough, few = said
    assert (enough.verdict, enough.kind) == ("certified", "labelled")
    assert few.verdict == "undecidable"
    assert "3 labelled answers per prompt, 8 needed" in few.reasons[0]


def test_pairs_without_any_label_are_no_comparisons(tmp_path: Path) -> None:
    held = world(0, prompts=60, pairs=60)
    pairs = held.comparisons.copy()
    bare = pairs["prompt_id"].isin(pairs["prompt_id"].unique()[:20])
    pairs.loc[bare, list(OBJECTIVES)] = np.nan
    found = gathered(held, tmp_path, pairs)
    assert (found.labelled_prompts, found.labelled_units, found.prompts) == (40, 40, 60)
    assert found.comparisons == int((~bare).sum())
    nothing = gathered(held, tmp_path, pairs.assign(**dict.fromkeys(OBJECTIVES, np.nan)))
    assert (nothing.comparisons, nothing.labelled, nothing.labelled_per_prompt) == (0, 0, 0.0)


def test_groups_that_stand_in_several_splits_are_counted_behind_a_certificate(
    tmp_path: Path,
) -> None:
    """One group between training and validation is enough that no group of the test split is a unit."""
    held = world(0, prompts=12, pairs=10)
    number = held.responses["prompt_id"].astype("category").cat.codes
    grouped = held.responses.assign(group=[f"g{n // 2}" for n in number])
    assert gathered(replace(held, responses=grouped), tmp_path, held.comparisons).divided == 0
    apart = grouped["split"].mask(number == 0, "train").mask(number == 1, "validation")
    divided = replace(held, responses=grouped.assign(split=apart))
    found = gathered(divided, tmp_path, held.comparisons)
    assert (found.divided, found.units) == (1, found.prompts)
