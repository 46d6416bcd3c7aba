"""Multi-objective decoding: one DPO expert per objective, mixed at every token."""

from mopo_pipeline.baselines.policies import MixedPolicy
from mopo_pipeline.baselines.scalarised_dpo import experts, prepare
from mopo_pipeline.baselines.setting import RivalPolicy, Setting
from mopo_pipeline.baselines.sweep import swept
from mopo_pipeline.parameters.baselines import PairRivalParams
from mopo_pipeline.policies.valued import Budget


def train(setting: Setting, params: PairRivalParams) -> tuple[RivalPolicy, ...]:
    """K experts, trained once, mixed by each weights."""
    trained = experts(setting, prepare(setting), params)
    return swept(
        "mod",
        "decode_time",
        setting,
        params,
        lambda _: trained,
        lambda weights, folders: (MixedPolicy(tuple(folders), weights), Budget()),
    )
