"""Where the configuration of an environment puts its artifacts."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from os.path import expanduser
from pathlib import Path
from typing import Any

from kedro.config import OmegaConfigLoader
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from mopo_pipeline.errors import InputError
from mopo_pipeline.hooks.config_faults import configuration_fault

MISREAD = (YAMLError, OmegaConfBaseException, AttributeError, TypeError, ValueError)
"""What the loader raises of a file that is no YAML, holds no table, or contradicts another one."""

ROOT = "data_root"
"""Key of ``globals.yml``: the folder of all artifacts."""


@contextmanager
def without_deprecation() -> Iterator[None]:
    """Around a call that omegaconf 2.4 deprecates and Kedro 1.7 still makes, three times per run."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"register_new_resolver\(\) is deprecated")
        yield


class EnvironmentConfigLoader(OmegaConfigLoader):  # type: ignore[misc, unused-ignore]
    """Gives every environment but the base a data root of its own, ``<data_root>/<environment>``.

    A ``data_root`` in the environment's own ``globals.yml`` counts as it is written, and so does one of ``--params``; a
    ``~`` at its beginning is the user's folder.
    """

    def __init__(self, conf_source: str, env: str | None = None, **options: Any) -> None:
        given = dict(options.pop("runtime_params", None) or {})
        if isinstance(given.get(ROOT), str):
            given[ROOT] = expanduser(given[ROOT])
        super().__init__(conf_source, env=env, runtime_params=given, **options)
        if ROOT not in self._globals:
            return
        root = Path(expanduser(str(self._globals[ROOT])))
        shared = {None, self.base_env, self.default_run_env}
        if env not in shared and not self._names_its_own(conf_source, str(env)):
            root /= str(env)
        self["globals"] = {**self._globals, ROOT: str(root)}

    def __getitem__(self, key: str) -> Any:
        """Configuration of one kind.

        Raises:
            InputError: a file of it that cannot be used, by its line.
        """
        try:
            return super().__getitem__(key)
        except MISREAD as error:
            folders = [
                Path(self.conf_source) / str(name) for name in (self.base_env, self.env) if name
            ]
            fault = configuration_fault(folders, self.runtime_params or {})
            if fault is None and isinstance(error, AttributeError | TypeError):
                raise
            told = " ".join(str(error).split())
            raise InputError(f"configuration: {fault or told}") from error

    def _register_globals_resolver(self) -> None:
        with without_deprecation():
            super()._register_globals_resolver()

    def _register_runtime_params_resolver(self) -> None:
        with without_deprecation():
            super()._register_runtime_params_resolver()

    def _names_its_own(self, conf_source: str, env: str) -> bool:
        import yaml

        file = Path(conf_source) / env / "globals.yml"
        if not file.is_file():
            return False
        return ROOT in (yaml.safe_load(file.read_text(encoding="utf-8")) or {})
