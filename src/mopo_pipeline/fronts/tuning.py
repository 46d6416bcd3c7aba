"""Ours over a grid, as rivals are: the points of the front at every setting, the best front by validation labels."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mopo_pipeline.fronts.jobs import DONE, Outcome, folder_name
from mopo_pipeline.fronts.made import spent
from mopo_pipeline.fronts.variants import variants
from mopo_pipeline.parameters.ablation import AblationParams
from mopo_pipeline.parameters.front import FrontParams
from mopo_pipeline.policies.valued import Budget

GRID = "tuning"

Worth = Callable[[Sequence[Path]], float | None]
"""Hypervolume by validation labels of the policies of the runs in some folders; None of none."""


@dataclass(frozen=True)
class Tuned:
    """What the grid chose for ours; nothing where none was asked for, or no run of it was done.

    Attributes:
        setting: parameters that all points of ours are trained with, by full name.
        folder: of the runs that were best, which are those of ours; None where there are none.
        grid: every setting with its folder, how its runs ended, and their hypervolume.
    """

    setting: Mapping[str, Any] = field(default_factory=dict)
    folder: Path | None = None
    grid: tuple[Mapping[str, Any], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        folder = None if self.folder is None else str(self.folder)
        grid = [dict(one) for one in self.grid]
        return {"setting": dict(self.setting), "folder": folder, "grid": grid}


UNTUNED = Tuned()


def settings_of(params: FrontParams) -> dict[str, dict[str, Any]]:
    """Every combination of the grid by name."""
    return variants(AblationParams(sweeps={GRID: params.tuning})) if params.tuning else {}


def folder_of(name: str, params: FrontParams) -> Path:
    """Where the runs of a setting lie."""
    return params.folder / folder_name(name)


def best_of(runs: Mapping[str, Outcome], params: FrontParams, worth: Worth) -> Tuned:
    """The setting whose policies have the greatest hypervolume by validation labels.

    Args:
        runs: how the grid's runs ended, by setting and point.
        params: with the grid.
        worth: of the policies of some runs.
    """
    grid: list[dict[str, Any]] = []
    for name, setting in settings_of(params).items():
        own = [run for key, run in runs.items() if key.startswith(f"{name}/")]
        done = [Path(run.folder) for run in own if run.status == DONE]
        grid.append(
            {
                "setting": setting,
                "folder": str(folder_of(name, params)),
                "hypervolume": worth(done),
                "runs": [run.as_dict() for run in own],
            }
        )
    known = [one for one in grid if one["hypervolume"] is not None]
    if not known:
        return Tuned(grid=tuple(grid))
    best = max(known, key=lambda one: one["hypervolume"])
    return Tuned(best["setting"], Path(best["folder"]), tuple(grid))


def spent_on(tuning: Mapping[str, Any]) -> Budget:
    """What the runs of the settings that were not taken cost; of one that failed nothing is known."""
    left = [one for one in tuning["grid"] if one["folder"] != tuning["folder"]]
    done = [run for one in left for run in one["runs"] if run["status"] == DONE]
    return sum((spent(Path(run["folder"]), run["seconds"]) for run in done), Budget())
