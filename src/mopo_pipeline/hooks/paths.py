"""Which parameters name files and models, and what becomes of them: places of the project, contents."""

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from os.path import expanduser, isdir
from pathlib import Path
from typing import Any

from mopo_pipeline.hooks.contents import Contents
from mopo_pipeline.hooks.own_code import code_of_judge
from mopo_pipeline.language.kinds import named_base
from mopo_pipeline.language.places import PACKAGE_PREFIX

FILES = frozenset(
    {"path", "judgements_path", "accelerate", "work_dir", "data_root", "task_folder", "cache"}
)
"""Last keys of parameters that name a file or folder."""

BY_NAME = "prompt_sets"
"""A table of files."""

MODELS, BY_OBJECTIVE = frozenset({"model", "encoder", "policy", "start"}), "reward_models"
"""Last keys of parameters that name a model: a directory, a hub id or a package; and a table of them."""

LOGIT = "#"
"""Between a reward model and the one of its logits that is the score."""

JUDGES = frozenset({"own", "judge"})
"""Last keys of parameters that may name a judge of the user's own, as ``module:name``."""

REMOTE = "://"
"""What tells the address of a remote file from a path."""

READ = "ingest"
"""The group whose files may be remote."""

NO_MODEL = "scratch"
"""What ``reference.model`` says where there is none yet."""


def names_model(parts: tuple[str, ...]) -> bool:
    """Whether a parameter names a model."""
    return parts[-1] in MODELS or BY_OBJECTIVE in parts[:-1]


def names_file(parts: tuple[str, ...]) -> bool:
    """Whether a parameter names a file or folder."""
    return parts[-1] in FILES or BY_NAME in parts[:-1]


def within(project: Path, value: Any, parts: tuple[str, ...] = ()) -> Any:
    """Parameters with relative paths made absolute: they are the project's, as the catalog's are; ``~`` is the user's folder.

    A hub id is no path; the name of a model is taken for one where the project has such a directory.
    """
    if isinstance(value, Mapping):
        return {key: within(project, inner, (*parts, str(key))) for key, inner in value.items()}
    if not isinstance(value, str) or not parts:
        return value
    if REMOTE in value:
        return value
    model, logit, number = value.partition(LOGIT) if names_model(parts) else (value, "", "")
    place = project / expanduser(model)
    is_model = names_model(parts) and value != NO_MODEL and isdir(place)
    return f"{place}{logit}{number}" if names_file(parts) or is_model else value


def remote_places(value: Any, parts: tuple[str, ...] = ()) -> list[str]:
    """Parameters outside of ``ingest`` that name a remote address where a place on this machine is needed, in full.

    >>> remote_places({"ingest": {"path": "s3://b/votes.csv"}, "export": {"path": "s3://b/out", "merge": True}})
    ['export.path=s3://b/out']
    """
    if isinstance(value, Mapping):
        inner = [remote_places(item, (*parts, str(key))) for key, item in value.items()]
        return [place for places in inner for place in places]
    named = bool(parts) and parts[0] != READ and (names_file(parts) or names_model(parts))
    return [f"{'.'.join(parts)}={value}"] if named and REMOTE in str(value) else []


def content(parts: tuple[str, ...], value: Any, contents: Contents) -> str | None:
    """What lies where a parameter points: a hash, a package's version; None where that is unknown."""
    if not isinstance(value, str) or value == NO_MODEL:
        return None
    if parts[-1] in JUDGES:
        return code_of_judge(value, contents)
    if names_file(parts):
        return contents.digest(Path(value))
    return _content_of_model(value, contents) if names_model(parts) else None


def _content_of_model(value: str, contents: Contents) -> str | None:
    """A hash of a directory, of an adapter's base on this machine too, or a package's version; with the logit named."""
    if value.startswith(PACKAGE_PREFIX):
        try:
            return version(value.removeprefix(PACKAGE_PREFIX))
        except PackageNotFoundError:
            return None
    model, logit, number = value.partition(LOGIT)
    found = contents.digest(Path(model))
    if found is not None and (Path(model) / "adapter_config.json").is_file():
        base = str(named_base(Path(model)) or "")
        found = f"{found} on {_content_of_model(base, contents) or base}"
    return None if found is None else f"{found}{logit}{number}"
