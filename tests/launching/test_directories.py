from dataclasses import replace
from pathlib import Path

import pytest

from mopo_pipeline import source
from mopo_pipeline.launching.run import prepare
from mopo_pipeline.parameters.fit import LoraParams
from mopo_pipeline.parameters.lag import FreshLag
from tiny_training import tiny_model, tiny_run


def test_a_package_counts_for_runs_that_have_a_use_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = tiny_run(tiny_model(tmp_path / "model"))
    text = replace(plain, lag=FreshLag(judge="text"))
    runs = {"plain": plain, "lora": replace(plain, lora=LoraParams(r=2, alpha=4)), "text": text}

    def directories(**versions: str) -> dict[str, str]:
        source.code_of_module.cache_clear()
        monkeypatch.setattr(source, "_version", versions.get)
        return {name: prepare(run, tmp_path / "work").name for name, run in runs.items()}

    def moved(**versions: str) -> set[str]:
        now = directories(**versions)
        return {name for name in runs if now[name] != before[name]}

    before = directories(torch="1")
    assert moved(torch="1") == set()
    assert moved(torch="1", peft="1") == {"lora"}
    assert moved(torch="1", pyphen="1") == {"text"}
    assert moved(torch="2") == {"plain", "lora", "text"}
    source.code_of_module.cache_clear()
