"""The policy as a folder for use elsewhere, and the gate before it: no certificate, no release unless told so."""

import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from mopo_pipeline.errors import InputError
from mopo_pipeline.evaluation.certificate import Certificate, headline
from mopo_pipeline.evaluation.sampling import longest_answer
from mopo_pipeline.language.adapters import save_merged
from mopo_pipeline.language.chat import Chat
from mopo_pipeline.language.lengths import encode_all
from mopo_pipeline.language.loading import FACTS, load_model, model_digest
from mopo_pipeline.language.sealed import MANIFEST, apply_umask
from mopo_pipeline.parameters.evaluate import SamplingParams
from mopo_pipeline.parameters.export import ExportParams
from mopo_pipeline.policies.card import BASE_NAME, Measured, model_card
from mopo_pipeline.policies.hub import check_pushed, push

CERTIFICATE = "certificate.json"
POLICY = "policy"

PROBES = 16
"""Rows on which a merged model is compared with the adapter."""

UNCERTIFIED = "**Exported without a certificate** (export.uncertified). "


def write_release(
    policy: Path,
    reference_policy: Path,
    responses: pd.DataFrame,
    measured: Measured,
    params: ExportParams,
    sampling: SamplingParams,
) -> dict[str, Any]:
    """Write ``<export.path>/policy`` with tokenizer, card, certificate and how to sample; an adapter's base beside it.

    What lay there before stands until the new folder is complete. Where ``export.repo_id`` names a repository of the
    Hub, the policy goes there too.

    Args:
        policy: directory of the trained model or adapter.
        reference_policy: directory of the reference, an adapter's base.
        responses: texts on which a merged model is compared with its adapter.
        measured: what the card says, with the certificate of this policy.
        params: where to, merged or not, and whether uncertified.
        sampling: as evaluated, so that what is certified is what is used.

    Returns:
        JSON-ready: ``path``, ``verdict``, ``merged``, the ``policy``'s fingerprint, and where on the Hub it is (``hub``).

    Raises:
        InputError: the policy is not certified, the certificate is another policy's, or something else lies at
            ``export.path``, or the Hub does not take it.
    """
    certificate = measured.certificate
    check_gate(policy, certificate, params.uncertified)
    _check_place(params.path)
    adapter = (policy / "adapter_config.json").is_file()
    merged = adapter and params.merge
    if params.repo_id is not None:
        check_pushed(alone=merged or not adapter)
    params.path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".release-", dir=params.path.parent) as scratch:
        new = Path(scratch) / "new"
        target = new / POLICY
        new.mkdir()
        if merged:
            _merge(policy, reference_policy, responses, Path(scratch), target)
        else:
            _copy(policy, target)
        if adapter and not merged:
            _copy(reference_policy, new / BASE_NAME)
        _write_sampling(target, reference_policy, responses, sampling)
        note = UNCERTIFIED if certificate.open else ""
        _write_papers(target, replace(measured, note=note))
        apply_umask(new)
        if params.path.exists():
            params.path.rename(Path(scratch) / "old")
        new.rename(params.path)
    return {
        "path": str(params.path),
        "verdict": certificate.verdict,
        "merged": merged,
        "policy": certificate.policy,
        "hub": None if params.repo_id is None else push(params.path / POLICY, params.repo_id),
    }


def _write_papers(target: Path, measured: Measured) -> None:
    """The certificate and the card that carries it."""
    (target / CERTIFICATE).write_text(
        json.dumps(measured.certificate.to_json(), indent=1, ensure_ascii=False) + "\n",
        encoding="utf-8",
    )
    (target / "README.md").write_text(model_card(target, measured), encoding="utf-8")


def check_gate(policy: Path, certificate: Certificate, uncertified: bool) -> None:
    """Let a policy pass whose thresholds are certified, if it has any, and another one only when told so.

    Raises:
        InputError: says what the certificate says and what to do.
    """
    if not model_digest(policy).startswith(certificate.policy):
        raise InputError(
            f"the certificate is of policy {certificate.policy}, and {policy} holds another one: run "
            "kedro run --from-nodes=evaluate.certify"
        )
    if uncertified or not certificate.open:
        return
    why = f" ({'; '.join(certificate.reasons)})" if certificate.verdict != "undecidable" else ""
    raise InputError(
        f"nothing is exported without a certificate: {headline(certificate)}{why}. See what would help in "
        "certificate.json, or export the policy as it is with --params export.uncertified=true, which its card will say"
    )


def _check_place(path: Path) -> None:
    if not path.exists() or (path / POLICY / CERTIFICATE).is_file():
        return
    if not path.is_dir() or any(path.iterdir()):
        raise InputError(
            f"export.path {path} holds something that is no exported policy: name another folder or move it away"
        )


def _merge(policy: Path, base: Path, responses: pd.DataFrame, scratch: Path, target: Path) -> None:
    """Fold the adapter into its base, and hold the result against the adapter on a few rows."""
    model, tokenizer = load_model(policy, base=base, device="cpu")
    save_merged(model, tokenizer, encode_all(tokenizer, responses[:PROBES]), scratch).rename(target)
    shutil.copy(policy / FACTS, target / FACTS)


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(
        source, target, ignore=shutil.ignore_patterns("training_args.bin", MANIFEST, ".*")
    )


def _write_sampling(
    target: Path, reference: Path, responses: pd.DataFrame, sampling: SamplingParams
) -> None:
    """A generation_config that samples as the policy was evaluated and ends where it ends."""
    from transformers import GenerationConfig

    model, tokenizer = load_model(reference, device="cpu")
    GenerationConfig(
        do_sample=True,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=0,
        max_new_tokens=sampling.max_new_tokens or longest_answer(tokenizer, responses),
        eos_token_id=Chat(tokenizer).end_ids(model),
        pad_token_id=tokenizer.pad_token_id,
    ).save_pretrained(target)
