"""Which checkpoint to go on from."""

import json
import logging
from pathlib import Path

log = logging.getLogger(__name__)

_LAST_WRITTEN = "trainer_state.json"


def last_complete_checkpoint(directory: Path) -> Path | None:
    """The newest checkpoint that was written to its end; half-written ones are named and skipped.

    ``trainer_state.json`` is the last file of a checkpoint: where it is missing or cut short, the
    process died while writing.
    """
    found = sorted(
        (p for p in directory.glob("checkpoint-*") if p.name.removeprefix("checkpoint-").isdigit()),
        key=lambda p: int(p.name.removeprefix("checkpoint-")),
        reverse=True,
    )
    for checkpoint in found:
        try:
            json.loads((checkpoint / _LAST_WRITTEN).read_text())
        except (OSError, ValueError):
            log.warning("skipping %s: it was not written to its end", checkpoint)
            continue
        return checkpoint
    return None
