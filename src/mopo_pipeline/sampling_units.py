"""What was drawn as one: prompts, or groups of prompts where the splits keep groups whole."""

import pandas as pd


def sampling_units(responses: pd.DataFrame) -> pd.Series:
    """What was drawn as one, by prompt_id: the group where the splits keep groups whole, else the prompt.

    Prompts of one group (one document, one user) are no independent draws: intervals, folds and bounds
    count groups. Where a group stands in two splits, its prompts are taken to be drawn one by one.

    Args:
        responses: prompt_id, split and, where the source has one, group.

    >>> table = pd.DataFrame({"prompt_id": ["a", "b", "c"], "group": ["g", "g", None], "split": "test"})
    >>> sampling_units(table).tolist()
    ['group g', 'group g', 'c']
    """
    prompts = responses.drop_duplicates("prompt_id").set_index("prompt_id")
    units = prompts.index.to_series()
    if "group" not in prompts:
        return units
    grouped = units.where(prompts["group"].isna(), "group " + prompts["group"].astype(str))
    whole = prompts["split"].groupby(grouped).nunique().max() == 1
    return grouped if whole else units


def divided_groups(responses: pd.DataFrame) -> int:
    """How many groups stand in several splits; one is enough that no group is a unit (``sampling_units``).

    >>> table = pd.DataFrame({"prompt_id": ["a", "b", "c"], "group": ["g", "g", None]})
    >>> divided_groups(table.assign(split=["train", "test", "test"]))
    1
    """
    if "group" not in responses:
        return 0
    return int((responses.groupby("group")["split"].nunique() > 1).sum())


def units_of_test_split(responses: pd.DataFrame, limit: int | None) -> int:
    """How many units the test split holds, at most as many as prompts are asked."""
    asked = responses.loc[responses["split"] == "test", "prompt_id"].unique()
    count = int(sampling_units(responses).loc[asked].nunique())
    return count if limit is None else min(count, limit)


def drawn_as(prompts: int, units: int) -> str:
    """What was drawn one by one.

    >>> drawn_as(72, 72), drawn_as(72, 9)
    ('test prompts', 'groups of test prompts')
    """
    return "test prompts" if units == prompts else "groups of test prompts"
