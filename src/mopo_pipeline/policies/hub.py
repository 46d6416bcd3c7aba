"""An exported policy on the Hugging Face Hub."""

from pathlib import Path

from mopo_pipeline.errors import InputError


def check_pushed(*, alone: bool) -> None:
    """Refuse, before anything is written, what nobody could load from the Hub.

    Args:
        alone: whether the policy needs no other folder.

    Raises:
        InputError: the policy is an adapter whose base lies beside it.
    """
    if not alone:
        raise InputError(
            "export.repo_id with export.merge=false would push an adapter whose base lies on this machine alone: set "
            "export.merge=true, or leave export.repo_id out"
        )


def push(policy: Path, repo_id: str) -> str:
    """Upload an exported policy, to a private repository where there is none yet; returns its address.

    Raises:
        InputError: the Hub does not take it, or cannot be reached.
    """
    from huggingface_hub import HfApi

    try:
        api = HfApi()
        address = api.create_repo(repo_id, private=True, exist_ok=True)
        api.upload_folder(
            folder_path=policy, repo_id=repo_id, commit_message="Policy with its certificate"
        )
    except Exception as error:  # the Hub's, its client's transport's, the name's: no common class
        why = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise InputError(
            f"export.repo_id {repo_id!r}: the Hub did not take the policy ({why}); it lies in {policy}. With a "
            "network and a login (hf auth login, a token that may write there) run the same command again"
        ) from error
    return str(address)
