"""Random numbers come from named streams alone, and the names keep their numbers."""

import ast
from collections.abc import Iterator

import numpy as np
import pytest

from conftest import PROJECT
from mopo_pipeline import streams
from mopo_pipeline.streams import Stream, generator

MADE_BY = {"default_rng", "manual_seed", "SeedSequence", "RandomState", "seed"}


def seeded() -> Iterator[tuple[str, ast.expr]]:
    """File and first argument of every call that starts a stream."""
    root = PROJECT / "src/mopo_pipeline"
    for file in root.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            called = node.func if isinstance(node, ast.Call) else None
            if isinstance(called, ast.Attribute) and called.attr in MADE_BY:
                assert isinstance(node, ast.Call)
                yield str(file.relative_to(root)), node.args[0] if node.args else node


@pytest.mark.slow
def test_no_module_derives_a_seed_of_its_own() -> None:
    found = [(file, given) for file, given in seeded() if file != "streams.py"]
    assert found
    for file, given in found:
        named = isinstance(given, ast.Call) and getattr(given.func, "id", "").endswith("_seed")
        assert isinstance(given, ast.Name) or named, f"{file}: {ast.unparse(given)}"


def test_every_stream_differs_from_every_other() -> None:
    drawn = [generator(3, stream).random(4) for stream in Stream]
    drawn += [generator(3, Stream.ROWS, block).random(4) for block in range(1, 4)]
    assert np.unique(np.round(drawn, 12), axis=0).shape[0] == len(Stream) + 3


def test_draws_of_the_same_run_have_seeds_of_their_own() -> None:
    refreshes = [
        streams.refresh_seed(3, refresh, validation=validation)
        for refresh in range(1, 200)
        for validation in (False, True)
    ]
    assert len(set(refreshes)) == len(refreshes)
    assert streams.completion_seed(3, policy=True) != streams.completion_seed(3, policy=False)
    assert streams.candidate_seed(3) not in {3 * 2, 3 * 2 + 1, *refreshes}


def test_two_answers_never_share_a_stream() -> None:
    drawn = [generator(3, Stream.ANSWERS, i, j).random() for i in range(30) for j in range(30)]
    assert len(set(drawn)) == 900


def test_a_name_keeps_its_number() -> None:
    """Numbers made before belong to results that were told; these are of the first version."""
    assert [int(stream) for stream in Stream] == [
        1,
        2,
        3,
        5,
        7,
        8,
        11,
        12,
        13,
        14,
        31,
        32,
        33,
        34,
        35,
        36,
        37,
        38,
        39,
        40,
        41,
        42,
        43,
        44,
        45,
        50,
        60,
    ]
    np.testing.assert_array_equal(
        generator(5, Stream.ROWS, 2).random(3), np.random.default_rng([5, 7, 2]).random(3)
    )
    found = (
        streams.fold_seed(5, 2),
        streams.refresh_seed(5, 3, validation=True),
        streams.completion_seed(5, policy=True),
        streams.candidate_seed(5),
    )
    assert found == (5 + 2, 5 * 1009 + 2 * 3 + 1, 2 * 5 + 1, 5 * 1_000_003 + 500_000)
