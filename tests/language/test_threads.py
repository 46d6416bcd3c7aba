"""Small models take one thread, others what torch takes by itself."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from mopo_pipeline.language import threads
from mopo_pipeline.language.loading import load_model
from tiny_training import tiny_model


@pytest.fixture(autouse=True)
def two_by_itself() -> Iterator[None]:
    before = torch.get_num_threads()
    threads._own_choice.cache_clear()
    torch.set_num_threads(2)
    yield
    threads._own_choice.cache_clear()
    torch.set_num_threads(before)


def test_a_small_model_takes_one_thread_and_a_large_one_gives_them_back() -> None:
    threads.use_threads_for(threads.SMALL - 1)
    assert torch.get_num_threads() == 1
    threads.use_threads_for(threads.SMALL)
    assert torch.get_num_threads() == 2


def test_loading_a_model_sets_the_threads_it_is_worth(tmp_path: Path) -> None:
    load_model(tiny_model(tmp_path))
    assert torch.get_num_threads() == 1
