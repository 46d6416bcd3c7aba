"""Project settings read by Kedro."""

from mopo_pipeline.errors import abort_in_one_line

abort_in_one_line()  # before what takes seconds to import

from mopo_pipeline.language.threads import wait_briefly  # noqa: E402

wait_briefly()  # before torch is imported

from mopo_pipeline.hooks import (  # noqa: E402
    EngineHook,
    EnvironmentConfigLoader,
    ExecutorHook,
    FingerprintHook,
    ParameterGuardHook,
    PlacesHook,
    RunLockHook,
    RunLogHook,
)

# Kedro calls hooks last-registered first: parameters, engines and executors are checked and the data root is held before
# anything is compared.
HOOKS = (
    RunLogHook(),
    FingerprintHook(),
    RunLockHook(),
    EngineHook(),
    PlacesHook(),
    ExecutorHook(),
    ParameterGuardHook(),
)

# Both act without being asked: one phones home, the other fails runs that want no tracking.
DISABLE_HOOKS_FOR_PLUGINS = ("kedro-telemetry", "kedro_mlflow")

CONFIG_LOADER_CLASS = EnvironmentConfigLoader

# An environment states only what differs from base, key by key; lists are replaced whole.
CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    "merge_strategy": {"parameters": "soft", "globals": "soft", "catalog": "soft"},
}
