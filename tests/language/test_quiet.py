"""What libraries say to each other is kept from the user at the call that makes them say it, and nothing else is."""

import logging
from pathlib import Path

import pytest
from transformers import trainer_utils

from mopo_pipeline.language.quiet import while_rotating


@pytest.mark.parametrize("silent", [False, True])
def test_checkpoints_of_one_second_are_ordered_without_a_word_and_other_words_stay(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, silent: bool
) -> None:
    for step in (2, 4):
        (tmp_path / f"checkpoint-{step}").mkdir()
    log = logging.getLogger("transformers.trainer_utils")
    type(log).warning_once.cache_clear()
    log.addHandler(caplog.handler)
    try:
        if silent:
            with while_rotating():
                trainer_utils.sort_checkpoints(str(tmp_path), use_mtime=True)
                log.warning("disk is nearly full")
        else:
            trainer_utils.sort_checkpoints(str(tmp_path), use_mtime=True)
    finally:
        log.removeHandler(caplog.handler)
    said = [record.getMessage() for record in caplog.records]
    assert any("mtime" in line for line in said) is not silent
    assert ("disk is nearly full" in said) is silent
