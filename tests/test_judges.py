"""Text rules: what they measure and what they say of an empty answer."""

import pytest

from mopo_pipeline.errors import InputError
from mopo_pipeline.judges.rules import RULES, TextRules, cleanliness, readability, sentiment


def test_rules_order_texts_as_people_would() -> None:
    assert sentiment("What a wonderful day, thank you!") > sentiment("This is terrible and sad.")
    assert readability("The cat sat.") > readability("Organisational heterogeneity predominates.")
    assert cleanliness("A plain sentence.") == 0.0
    assert cleanliness("<|im_end|> a plain sentence") == -1.0


def test_scores_are_finite_for_any_text() -> None:
    rules = TextRules(tuple(RULES))
    scores = rules.scores([""] * 4, ["", " \n", "?!", "ok " * 500])
    assert scores.shape == (4, len(RULES))
    assert (abs(scores) < 1e5).all()


def test_an_unknown_rule_is_named() -> None:
    with pytest.raises(InputError, match="there is no rule 'wit'"):
        TextRules(("wit",))
