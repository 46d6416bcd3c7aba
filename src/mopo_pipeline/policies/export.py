"""What a trained policy carries with it: facts, a model card, and nothing of this machine."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd

from mopo_pipeline.language.loading import FACTS
from mopo_pipeline.language.sealed import MANIFEST, handed_over
from mopo_pipeline.policies.card import BASE_NAME, model_card
from mopo_pipeline.training.checkpoints import write_error


def export_policy(source: Path, work_dir: Path, facts: dict[str, Any]) -> Path:
    """Copy a trained model with its facts and card; an adapter names its base by directory alone.

    Raises:
        WriteError: no room for the copy.
    """
    target = handed_over(".policy-", work_dir)
    ignored = shutil.ignore_patterns("training_args.bin", "README.md", MANIFEST)
    try:
        shutil.copytree(source, target, dirs_exist_ok=True, ignore=ignored)
    except OSError as error:
        resume = f"what was trained is whole in {source} and the next run takes it from there"
        raise write_error(target, error, resume) from error
    adapter = target / "adapter_config.json"
    if adapter.is_file():
        settings = json.loads(adapter.read_text(encoding="utf-8"))
        adapter.write_text(
            json.dumps(settings | {"base_model_name_or_path": BASE_NAME}, indent=2),
            encoding="utf-8",
        )
    (target / FACTS).write_text(json.dumps(facts, indent=1), encoding="utf-8")
    (target / "README.md").write_text(model_card(target), encoding="utf-8")
    return target


def fingerprint(*parts: pd.DataFrame | dict[str, Any]) -> str:
    """Content hash of tables and settings, 16 hex digits."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, pd.DataFrame):
            digest.update(pd.util.hash_pandas_object(part, index=False).to_numpy().tobytes())
        else:
            digest.update(json.dumps(part, sort_keys=True).encode())
    return digest.hexdigest()[:16]
