"""Tiny models take one thread, small ones two, others what torch takes by itself; idle threads soon sleep."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from mopo_pipeline.language import threads
from mopo_pipeline.language.loading import load_model
from tiny_training import tiny_model

OWN = 3


@pytest.fixture(autouse=True)
def two_by_itself() -> Iterator[None]:
    before = torch.get_num_threads()
    threads._own_choice.cache_clear()
    torch.set_num_threads(OWN)
    yield
    threads._own_choice.cache_clear()
    torch.set_num_threads(before)


def test_threads_grow_with_the_model_and_never_above_what_torch_takes() -> None:
    threads.use_threads_for(threads.TINY - 1)
    assert torch.get_num_threads() == 1
    threads.use_threads_for(threads.TINY)
    assert torch.get_num_threads() == 2
    threads.use_threads_for(threads.SMALL - 1)
    assert torch.get_num_threads() == 2
    threads.use_threads_for(threads.SMALL)
    assert torch.get_num_threads() == OWN


def test_where_one_thread_is_asked_for_no_model_takes_two() -> None:
    threads._own_choice.cache_clear()
    torch.set_num_threads(1)
    threads.use_threads_for(threads.SMALL - 1)
    assert torch.get_num_threads() == 1


def test_idle_threads_sleep_soon_unless_the_user_says_how_they_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for given in ({}, {"GOMP_SPINCOUNT": "7"}, {"OMP_WAIT_POLICY": "ACTIVE"}):
        monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
        monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        threads.wait_briefly()
        expected = given or {"GOMP_SPINCOUNT": threads.SPINS}
        assert {k: os.environ.get(k) for k in expected} == expected
        assert "OMP_WAIT_POLICY" not in given or "GOMP_SPINCOUNT" not in os.environ


@pytest.mark.slow
def test_a_command_sets_how_threads_wait_before_torch_is_loaded() -> None:
    code = (
        "import os, sys; import mopo_pipeline.settings; "
        "print(os.environ['GOMP_SPINCOUNT'], 'torch' in sys.modules)"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert said.split() == [threads.SPINS, "False"]


def test_loading_a_model_sets_the_threads_it_is_worth(tmp_path: Path) -> None:
    load_model(tiny_model(tmp_path))
    assert torch.get_num_threads() == 1
