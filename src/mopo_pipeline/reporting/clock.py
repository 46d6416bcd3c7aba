"""When the run began: nodes do not know it, hooks do.

``restart`` is called before a pipeline runs; without it the clock starts with the process's first
import of this module, which for a command-line run is the same to a second.
"""

import time

_state = {"started": time.monotonic()}


def restart() -> None:
    """Start counting now."""
    _state["started"] = time.monotonic()


def seconds() -> float:
    """Seconds since the run began."""
    return time.monotonic() - _state["started"]
