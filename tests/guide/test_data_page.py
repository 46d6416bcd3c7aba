"""The page on own data names the sources there are and the splits that a run makes."""

import re

import yaml

from conftest import PROJECT
from mopo_pipeline.parameters.ingest import HUB_SCHEMAS, SplitParams

TEXT = (PROJECT / "docs/guide/data.md").read_text(encoding="utf-8")


def test_every_published_source_is_named_and_nothing_else_is() -> None:
    found = re.search(r"`ingest\.source` also reads (.*?), by hub id", TEXT)
    assert found is not None
    assert tuple(re.findall(r"`(\w+)`", found[1])) == HUB_SCHEMAS


def test_the_shares_of_the_splits_are_those_that_a_run_takes() -> None:
    base = yaml.safe_load((PROJECT / "conf/base/parameters_ingest.yml").read_text())
    split = SplitParams.model_validate(base["ingest"]["split"])
    said = f"by `conf/base` {split.train:.0%}, {split.validation:.0%}, the rest".replace("%", " %")
    assert said in TEXT
