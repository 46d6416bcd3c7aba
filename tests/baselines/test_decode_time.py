"""Mixtures and best of n: what they say of a model, and that the trivial ones are the models themselves."""

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from pocket_values import pocket_values
from rival_setting import OBJECTIVES, WordCounts, small_setting

from mopo_pipeline.baselines.best_of_n import BestOfN, best_of
from mopo_pipeline.baselines.policies import FolderPolicy, MixedPolicy, ToldPolicy
from mopo_pipeline.baselines.registry import train_rival
from mopo_pipeline.baselines.setting import Setting
from mopo_pipeline.errors import InputError
from mopo_pipeline.fronts.values import Ground
from mopo_pipeline.judges.pocket import PocketRules
from mopo_pipeline.language.divergence import Way, answer_divergences
from mopo_pipeline.language.generation import Answer
from mopo_pipeline.language.loading import load_model
from mopo_pipeline.language.scratch import build_model
from mopo_pipeline.language.tokens import encode
from mopo_pipeline.parameters.evaluate import EvaluateParams, SamplingParams
from mopo_pipeline.pocket import task as pocket

DECODING = {"n": 3, "max_new_tokens": 6, "seed": 5, "batch_size": 4, "temperature": 1.0, "top_p": 1.0}  # fmt: skip
WEIGHTS = (0.5, 0.3, 0.2)


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    return small_setting(tmp_path_factory.mktemp("decode"))


@pytest.fixture(scope="module")
def folders(setting: Setting) -> tuple[Path, ...]:
    """Three experts that have nothing in common but their words."""
    _, tokenizer = load_model(setting.reference)
    made = []
    for seed in (1, 2, 3):
        folder = setting.work_dir / f"expert-{seed}"
        model = build_model(tokenizer, layers=1, width=32, heads=2, max_length=128, seed=seed)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(4.0)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        made.append(folder)
    return tuple(made)


@pytest.fixture(scope="module")
def asked(setting: Setting) -> tuple[list[str], list[str]]:
    rows = setting.responses.iloc[[0, 1, 7, 13]]
    return rows["prompt"].tolist(), rows["response"].tolist()


class Scaled(PocketRules):
    """The task's rules, each objective on a scale of its own."""

    def scores(self, prompts: list[str], responses: list[str]) -> np.ndarray:
        return super().scores(prompts, responses) * np.array([1000.0, 1.0, 0.01])


def test_objectives_on_different_scales_weigh_alike(
    setting: Setting, asked: tuple[list[str], list[str]]
) -> None:
    given = {"weights": (WEIGHTS,), "n": 4}
    [plain] = train_rival("best_of_n", setting, given)
    [scaled] = train_rival("best_of_n", replace(setting, judge=Scaled()), given)
    assert isinstance(plain.policy, BestOfN) and isinstance(scaled.policy, BestOfN)
    liked = plain.policy.liked(*asked)
    assert np.ptp(liked) > 0.1
    np.testing.assert_allclose(scaled.policy.liked(*asked), liked)


def next_token_logprobs(folder: Path, ids: list[int]) -> np.ndarray:
    model, _ = load_model(folder)
    with torch.no_grad():
        return model(input_ids=torch.tensor([ids])).logits[0].double().log_softmax(-1).numpy()


def test_all_weight_on_one_expert_is_that_expert(
    folders: tuple[Path, ...], asked: tuple[list[str], list[str]]
) -> None:
    mixed, alone = MixedPolicy(folders, (0.0, 1.0, 0.0)), FolderPolicy(folders[1])
    np.testing.assert_allclose(
        mixed.answer_logprobs(*asked), alone.answer_logprobs(*asked), atol=1e-5
    )
    assert mixed.sample(asked[0], **DECODING) == alone.sample(asked[0], **DECODING)


def test_an_expert_mixed_with_itself_is_itself_also_where_it_decodes_with_a_cache(
    folders: tuple[Path, ...], asked: tuple[list[str], list[str]]
) -> None:
    same = MixedPolicy((folders[0], folders[0]), (0.5, 0.5))
    assert same.sample(asked[0], **DECODING) == FolderPolicy(folders[0]).sample(
        asked[0], **DECODING
    )


def test_a_mixture_s_answer_is_the_product_of_its_normalised_mixed_tokens(
    folders: tuple[Path, ...], asked: tuple[list[str], list[str]]
) -> None:
    """Oracle: token by token in double precision, one answer alone, no packing."""
    found = MixedPolicy(folders, WEIGHTS).answer_logprobs(*asked)
    _, tokenizer = load_model(folders[0])
    rows = encode(tokenizer, *asked, None)
    for i, ids in enumerate(rows.ids):
        mixed = sum(w * next_token_logprobs(f, ids) for w, f in zip(WEIGHTS, folders, strict=True))
        mixed = mixed - np.log(np.exp(mixed).sum(axis=-1, keepdims=True))
        head = int(rows.prompt_lengths[i])
        said = sum(mixed[t - 1, ids[t]] for t in range(head, len(ids)))
        assert found[i] == pytest.approx(said, abs=1e-3)


def test_what_a_mixture_draws_it_finds_as_likely_as_it_draws_it(
    folders: tuple[Path, ...], asked: tuple[list[str], list[str]]
) -> None:
    """First words drawn 600 times against the mixture's own probabilities, by total variation."""
    mixed = MixedPolicy(folders, WEIGHTS)
    prompt = asked[0][:1]
    once = DECODING | {"n": 600, "max_new_tokens": 1, "batch_size": 200}
    drawn = [a.text for a in mixed.sample(prompt, **once)[0]]
    _, tokenizer = load_model(folders[0])
    head = encode(tokenizer, prompt, [""], None).ids[0][:-1]
    total = sum(w * next_token_logprobs(f, head)[-1] for w, f in zip(WEIGHTS, folders, strict=True))
    mass = np.exp(total) / np.exp(total).sum()
    words = [str(tokenizer.decode([i], skip_special_tokens=True)).strip() for i in range(len(mass))]
    likely = np.argsort(-mass)[:5]
    shares = [np.mean([w == words[i] for w in drawn]) for i in likely if words[i]]
    expected = [mass[i] for i in likely if words[i]]
    assert len(expected) >= 3
    np.testing.assert_allclose(shares, expected, atol=5 * 0.5 / 600**0.5)


def test_experts_without_a_weight_each_are_refused(folders: tuple[Path, ...]) -> None:
    with pytest.raises(InputError, match="3 experts have 2 weights"):
        MixedPolicy(folders, (0.5, 0.5)).load()


def test_best_of_one_is_the_reference(setting: Setting) -> None:
    [point] = train_rival("best_of_n", setting, {"weights": ((1.0, 0.0, 0.0),), "n": 1})
    reference = FolderPolicy(setting.reference)
    prompts = setting.responses["prompt"].unique()[:2].tolist()
    problem = pocket.exact_problem(prompts)
    rows, texts = [prompts[g] for g in problem.groups], list(problem.texts)
    assert point.policy is not None
    np.testing.assert_allclose(
        point.policy.answer_logprobs(rows, texts), reference.answer_logprobs(rows, texts), atol=1e-9
    )
    assert point.policy.sample(prompts, **DECODING) == reference.sample(prompts, **DECODING)
    assert point.budget.judge_calls == 1


def drawn_ground(setting: Setting, prompts: list[str]) -> Ground:
    """A ground on which answers are drawn and judged, as outside the pocket task."""
    asked = setting.responses.drop_duplicates("prompt_id").set_index("prompt").loc[prompts]
    table = asked.reset_index()[["prompt_id", "prompt"]]
    known = {"words": {"objectives": {name: {"calibration": None} for name in OBJECTIVES}}}
    params = EvaluateParams(sampling=SamplingParams(samples=3), bootstrap=10)
    return Ground(
        table,
        setting.responses.assign(source="files"),
        table["prompt_id"],
        OBJECTIVES,
        params,
        0,
        FolderPolicy(setting.reference),
        WordCounts(),
        known,
        6,
        1,
    )


def test_best_of_n_leaves_the_reference_by_what_n_draws_can_where_its_answers_are_drawn(
    setting: Setting,
) -> None:
    """A few drawn answers, taken for all there are, would each seem n times as likely: log n."""
    [point] = train_rival("best_of_n", setting, {"weights": ((1.0, 0.0, 0.0),), "n": 4})
    assert point.policy is not None
    ground = drawn_ground(setting, setting.responses["prompt"].unique()[:2].tolist())
    assert ground.value(point.policy).kl.tolist() == pytest.approx([np.log(4) - 3 / 4] * 2)
    rng = np.random.default_rng(0)
    mass, liked = rng.dirichlet(np.ones(4000)), rng.normal(size=4000)
    given = best_of(mass, liked, 4)
    assert given @ np.log(given / mass) == pytest.approx(np.log(4) - 3 / 4, abs=1e-3)


class Fixed(FolderPolicy):
    """A model that is made to say these answers."""

    def sample(self, prompts: list[str], *, n: int, **_: object) -> list[list[Answer]]:
        texts = [pocket.exact_problem([p]).texts[0] for p in prompts]
        return [[Answer(text, i == 0) for i in range(n)] for text in texts]


def test_an_answer_that_was_cut_counts_no_end_that_nobody_drew(
    setting: Setting, folders: tuple[Path, ...]
) -> None:
    prompts = setting.responses["prompt"].unique()[:2].tolist()
    ground, policy = drawn_ground(setting, prompts), Fixed(folders[0])
    answers = [a for some in policy.sample(prompts, n=3) for a in some]
    (model, tokenizer), (reference, _) = policy.load(), FolderPolicy(setting.reference).load()

    def mean(*ended: list[bool]) -> float:
        rows = encode(
            tokenizer, np.repeat(prompts, 3).tolist(), [a.text for a in answers], None, *ended
        )
        return float(answer_divergences(model, [Way(1.0, rows)], reference, rows).mean())

    found = ground.value(policy).kl.mean()
    assert found == pytest.approx(mean([a.ended for a in answers]), abs=1e-9)
    assert found < mean() - 1e-4


@pytest.mark.slow
def test_a_policy_that_barely_left_the_reference_is_no_nearer_than_nothing(
    setting: Setting, tmp_path: Path
) -> None:
    """The mean gain of a few drawn answers is below 0 as often as not; what both say next never is, and varies less."""
    model, tokenizer = FolderPolicy(setting.reference).load()
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for parameter in model.parameters():
            parameter.add_(0.05 * parameter.std() * torch.randn_like(parameter))
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    policy, reference = FolderPolicy(tmp_path), FolderPolicy(setting.reference)
    prompts = setting.responses["prompt"].unique()[:2].tolist()
    gains, found = [], []
    for seed in range(4):
        ground = replace(drawn_ground(setting, prompts), seed=seed)
        found.append(ground.value(policy).kl.mean())
        answers = [a for some in ground.drawn(policy, prompts, 3) for a in some]
        given = (
            np.repeat(prompts, 3).tolist(), [a.text for a in answers], [a.ended for a in answers]
        )  # fmt: skip
        gains.append((policy.answer_logprobs(*given) - reference.answer_logprobs(*given)).mean())
    assert min(gains) < 0.0 < min(found)
    assert np.std(found) < 0.5 * np.std(gains)


class Recorded(FolderPolicy):
    """A model that remembers how it was asked."""

    decoders: ClassVar[list[tuple[float, float]]] = []

    def sample(self, prompts: list[str], **decoding: Any) -> list[list[Answer]]:
        self.decoders.append((decoding["temperature"], decoding["top_p"]))
        return super().sample(prompts, **decoding)


def test_the_divergence_is_that_of_the_policy_as_it_is_whatever_the_decoder(
    setting: Setting, folders: tuple[Path, ...]
) -> None:
    """Colder answers are not the policy's own: along them its distance from the reference is another."""
    prompts = setting.responses["prompt"].unique()[:2].tolist()
    plain, policy = drawn_ground(setting, prompts), Recorded(folders[0])
    cold = SamplingParams(samples=3, temperature=0.3, top_p=0.9)
    altered = replace(plain, params=EvaluateParams(sampling=cold, bootstrap=10))
    expected = plain.value(policy).kl
    np.testing.assert_allclose(altered.value(policy).kl, expected, atol=1e-9)
    assert Recorded.decoders == [(1.0, 1.0), (0.3, 0.9), (1.0, 1.0)]


@pytest.mark.parametrize("liked", [[0.0, 1.0, 2.0, 3.0], [1.0, 0.0, 1.0, 0.0]])
def test_the_best_of_three_is_what_all_draws_of_three_say(liked: list[float]) -> None:
    """Oracle: every triple of draws; the fifth draw, malformed, is liked less than all; ties in equal parts of mass."""
    mass = np.array([0.1, 0.4, 0.2, 0.2])
    drawn, scores = np.append(mass, 0.1), [*liked, -9.0]
    expected = np.zeros(5)
    for triple in product(range(5), repeat=3):
        top = max(scores[i] for i in triple)
        best = [i for i in range(5) if scores[i] == top]
        share = drawn[best] / drawn[best].sum()
        expected[best] += np.prod(drawn[list(triple)]) * share
    np.testing.assert_allclose(best_of(mass, np.array(liked), 3), expected[:4], atol=1e-12)


def test_more_draws_raise_what_the_weights_ask_for(setting: Setting) -> None:
    """By exact values: harmlessness, all weight on it, with 1, 4 and 16 draws."""
    prompts = setting.responses["prompt"].unique()[:3].tolist()
    behaviour = np.concatenate([pocket.behaviour(p) for p in prompts]).reshape(3, -1)
    rates = np.stack([pocket.exact_win_rates(p)[:, 1] for p in prompts])
    scores = np.stack([pocket.scores(p)[:, 1] for p in prompts])
    values = [
        np.mean([best_of(m, s, n) @ r for m, s, r in zip(behaviour, scores, rates, strict=True)])
        for n in (1, 4, 16)
    ]
    assert values[0] == pytest.approx(0.5) and values[0] + 0.1 < values[1] < values[2]


@pytest.mark.slow
def test_the_pocket_task_values_a_mixture_as_it_values_its_only_expert(
    setting: Setting, folders: tuple[Path, ...]
) -> None:
    prompts = setting.responses["prompt"].unique()[:2].tolist()
    reference = FolderPolicy(setting.reference)
    alone = pocket_values(FolderPolicy(folders[2]), reference, prompts, OBJECTIVES)
    mixed = pocket_values(MixedPolicy(folders, (0.0, 0.0, 1.0)), reference, prompts, OBJECTIVES)
    np.testing.assert_allclose(mixed.values, alone.values, rtol=1e-3)
    drawn = drawn_ground(setting, prompts)
    one, all_three = FolderPolicy(folders[2]), MixedPolicy(folders, (0.0, 0.0, 1.0))
    np.testing.assert_allclose(drawn.value(all_three).kl, drawn.value(one).kl, rtol=1e-3)
    told = ToldPolicy(folders[2], "please")
    assert (drawn.value(told).kl > 0.0).all()
    assert not np.allclose(drawn.value(told).kl, drawn.value(one).kl, rtol=1e-2)
    same = pocket_values(reference, reference, prompts, OBJECTIVES[::-1])
    assert same.kl == pytest.approx(0.0, abs=1e-9) and same.values.shape == (2, 3)


class Tilted:
    """The behaviour policy, tilted towards what helps."""

    def __init__(self, strength: float) -> None:
        self.strength = strength

    def answer_logprobs(self, prompts: list[str], texts: list[str]) -> np.ndarray:
        found = []
        for prompt in dict.fromkeys(prompts):
            mass = pocket.behaviour(prompt) * np.exp(self.strength * pocket.scores(prompt)[:, 0])
            found.append(np.log(mass / mass.sum()))
        return np.concatenate(found)


def test_the_pocket_task_values_the_policy_that_wrote_its_data_at_one_half(
    setting: Setting,
) -> None:
    prompts = setting.responses["prompt"].unique()[:2].tolist()
    behaviour, tilted = Tilted(0.0), Tilted(0.5)
    own = pocket_values(behaviour, behaviour, prompts, OBJECTIVES)  # type: ignore[arg-type]
    other = pocket_values(tilted, behaviour, prompts, OBJECTIVES)  # type: ignore[arg-type]
    np.testing.assert_allclose(own.values, 0.5)
    np.testing.assert_allclose(own.well_formed, 1.0)
    assert (other.values[:, 0] > 0.55).all()
    for row, prompt in enumerate(prompts):
        mass = np.exp(tilted.answer_logprobs([prompt], []))
        expected = (mass * np.log(mass / pocket.behaviour(prompt))).sum()
        assert other.kl[row] == pytest.approx(expected) and expected > 0.01


def test_a_rival_that_needs_scores_asks_for_a_judge(setting: Setting, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="best_of_n needs scores of answers"):
        train_rival("best_of_n", small_setting(tmp_path, judge=None), {})
