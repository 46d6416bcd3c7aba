"""Signals that end a run: what must be told is told to the end, and then the signal is obeyed."""

import signal

import pytest

from mopo_pipeline.hooks.signals import SIGNALS, Interruption


def in_force() -> list[object]:
    return [signal.getsignal(number) for number in SIGNALS]


@pytest.mark.parametrize("second", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize(
    ("first", "ends"),
    [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)],
    ids=["Ctrl-C", "scheduler"],
)
def test_a_second_signal_does_not_cut_short_what_the_first_one_is_telling(
    first: signal.Signals, ends: type[BaseException], second: signal.Signals
) -> None:
    said, before = [], in_force()

    def told(name: str) -> None:
        signal.raise_signal(second)
        said.append(name)

    interruption = Interruption(told)
    interruption.expect()
    try:
        with pytest.raises(ends):
            signal.raise_signal(first)
        assert said == [first.name]
        assert in_force() == before
    finally:
        interruption.forget()
