"""What happens around nodes: parameters checked before, fingerprints compared, runs recorded."""

from mopo_pipeline.hooks.config import EnvironmentConfigLoader
from mopo_pipeline.hooks.engines import EngineHook
from mopo_pipeline.hooks.executors import ExecutorHook
from mopo_pipeline.hooks.fingerprints import FingerprintHook
from mopo_pipeline.hooks.guard import ParameterGuardHook
from mopo_pipeline.hooks.lock import RunLockHook
from mopo_pipeline.hooks.places import PlacesHook
from mopo_pipeline.hooks.runs import RunLogHook

__all__ = [
    "EngineHook",
    "EnvironmentConfigLoader",
    "ExecutorHook",
    "FingerprintHook",
    "ParameterGuardHook",
    "PlacesHook",
    "RunLockHook",
    "RunLogHook",
]
