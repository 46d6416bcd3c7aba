"""Project settings read by Kedro."""

import warnings

from mopo_pipeline.hooks import (
    EnvironmentConfigLoader,
    FingerprintHook,
    ParameterGuardHook,
    RunLockHook,
    RunLogHook,
)

# omegaconf 2.4 deprecates a call that Kedro 1.7 still makes, three times per run.
warnings.filterwarnings("ignore", message=r"register_new_resolver\(\) is deprecated")

# Kedro calls hooks last-registered first: parameters are checked and the data root is held before anything
# is compared.
HOOKS = (RunLogHook(), FingerprintHook(), RunLockHook(), ParameterGuardHook())

# Both act without being asked: one phones home, the other fails runs that want no tracking.
DISABLE_HOOKS_FOR_PLUGINS = ("kedro-telemetry", "kedro_mlflow")

CONFIG_LOADER_CLASS = EnvironmentConfigLoader

# An environment states only what differs from base, key by key; lists are replaced whole.
CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    "merge_strategy": {"parameters": "soft", "globals": "soft", "catalog": "soft"},
}
