"""What a user can act on is said once: by the command line at the end, not by Kedro's log before."""

import logging
import sys

from mopo_pipeline.errors import MopoError

REPEATS = (
    "kedro.pipeline.node",
    "kedro.runner.parallel_runner",
    "kedro.runner.sequential_runner",
    "kedro.runner.thread_runner",
)
"""Loggers that tell of a node's error while it passes; its text is the end of the run's output anyway."""

NOTHING_TO_RESUME = "No nodes ran."


class SaidOnce(logging.Filter):
    """Drops a record about an error of the user's that the command line is going to print."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record says something the last line of the run will not."""
        if not isinstance(sys.exc_info()[1], MopoError):
            return True
        return record.name != REPEATS[0] and not record.getMessage().startswith(NOTHING_TO_RESUME)


_SAID_ONCE = SaidOnce()


def say_once() -> None:
    """From now on; asked again, nothing changes."""
    for name in REPEATS:
        logging.getLogger(name).addFilter(_SAID_ONCE)
