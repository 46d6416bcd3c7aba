"""The tables of sizes are those of the theory, and the theory is what the bounds do."""

import importlib.util
import math
from types import ModuleType

import numpy as np
import pytest

from conftest import PROJECT
from mopo_pipeline.mopo import each_level, epsilon_for_confidence, lower_bound

PAGE = (PROJECT / "docs/guide/sizes.md").read_text(encoding="utf-8")


def loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("sizes", PROJECT / "benchmarks/sizes.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


sizes = loaded()


def test_the_page_shows_the_tables_that_the_script_computes() -> None:
    for table in (sizes.comparisons_table(), sizes.prompts_table()):
        for row in table:
            assert row in PAGE


def test_with_the_comparisons_of_the_table_the_bound_lies_as_far_below_as_it_says() -> None:
    rng = np.random.default_rng(3)
    for share, width in ((0.5, 0.05), (0.5, 0.02), (0.25, 0.05)):
        count = sizes.comparisons_needed(width, share)
        # two answers, either probability one half, ratios of variance 1 / share - 1
        gap = rng.choice([-1.0, 0.0, 1.0], p=[0.25, 0.5, 0.25], size=count)
        ratio_gap = 2.0 * math.sqrt(1.0 / share - 1.0) * gap
        terms = 0.5 * ratio_gap * (rng.integers(0, 2, size=count) - 0.5)
        level = each_level(sizes.CONFIDENCE, sizes.CONSTRAINTS)
        bound = lower_bound(terms, None, epsilon_for_confidence(count, level))
        assert terms.mean() - bound.value == pytest.approx(width, rel=0.2)


def test_nine_in_ten_splits_certify_with_the_prompts_of_the_table() -> None:
    level = sizes.certificate_level()
    prompts = sizes.certain_prompts(0.1, 0.05, level)
    assert 0.86 <= sizes.certified_share(0.1, 0.05, prompts, 600) <= 0.96
