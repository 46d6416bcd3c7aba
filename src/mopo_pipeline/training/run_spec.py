"""What one training run is told: ``spec.json`` of its directory, typed."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from mopo_pipeline.parameters.fit import FIT_WITHOUT_EFFECT, FixedFit, LoraParams
from mopo_pipeline.parameters.lag import LagParams
from mopo_pipeline.parameters.train import LoopParams

SPEC, ROWS, VALIDATION = "spec.json", "rows.parquet", "validation.parquet"
"""Files of a run's directory: this, the rows to train on, rows of prompts nothing is trained on."""


@dataclass(frozen=True)
class RunSpec:
    """Inputs of a run that are no tables.

    Attributes:
        name: what the progress bar and the directory say.
        model: directory of the initial model.
        fit, lag, loop, lora: parameters; no adapter where ``lora`` is None.
        seed: of initial adapters, row order and dropout.
        context: tokens of prompt and response; longer responses are cut; None cuts nothing.
        scorer: preference-model directory, for fresh responses.
        start: directory of a policy whose weights the first step starts from; None takes those of ``model``.
    """

    name: str
    model: Path
    fit: FixedFit
    lag: LagParams
    lora: LoraParams | None
    seed: int
    context: int | None
    scorer: Path | None
    loop: LoopParams = field(default_factory=LoopParams)
    start: Path | None = None

    @property
    def where(self) -> str:
        """What the parameters of this run are called."""
        return "reference.fit" if self.name == "reference" else "train.fit"

    def to_json(self) -> dict[str, Any]:
        """Plain values; paths are absolute."""
        return {
            "name": self.name,
            "model": str(self.model.resolve()),
            "fit": self.fit.model_dump(mode="json"),
            "lag": self.lag.model_dump(mode="json"),
            "loop": self.loop.model_dump(mode="json"),
            "lora": None if self.lora is None else self.lora.model_dump(mode="json"),
            "seed": self.seed,
            "context": self.context,
            "scorer": None if self.scorer is None else str(self.scorer.resolve()),
            "start": None if self.start is None else str(self.start.resolve()),
        }

    def deciding(self) -> dict[str, Any]:
        """The part that changes the result: not where files lie, nor how often it saves or logs."""
        plain = self.to_json()
        fit = {k: v for k, v in plain["fit"].items() if k not in FIT_WITHOUT_EFFECT}
        return {k: v for k, v in plain.items() if k not in {"model", "scorer", "start"}} | {
            "fit": fit
        }

    def write(self, directory: Path) -> None:
        """Write to a run's directory."""
        text = json.dumps(self.to_json(), indent=1)
        (directory / SPEC).write_text(text, encoding="utf-8")

    @classmethod
    def read(cls, directory: Path) -> "RunSpec":
        """What ``write`` wrote."""
        plain = json.loads((directory / SPEC).read_text(encoding="utf-8"))
        lora, scorer, start = plain["lora"], plain["scorer"], plain["start"]
        return cls(
            **plain
            | {
                "model": Path(plain["model"]),
                "fit": FixedFit(**plain["fit"]),
                "loop": LoopParams(**plain["loop"]),
                "lag": TypeAdapter(LagParams).validate_python(plain["lag"]),
                "lora": None if lora is None else LoraParams(**lora),
                "scorer": None if scorer is None else Path(scorer),
                "start": None if start is None else Path(start),
            }
        )
