"""Parameters are validated before any node runs, and their paths become the project's."""

import io
import sys
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click
from kedro.framework.hooks import hook_impl
from yaml import YAMLError

from mopo_pipeline.errors import InputError, MopoError
from mopo_pipeline.hooks.paths import remote_places, within
from mopo_pipeline.parameters.ablation import AblationParams
from mopo_pipeline.parameters.by_model import follow_model
from mopo_pipeline.parameters.groups import GROUPS, validate_parameters
from mopo_pipeline.pipelines.stage import SWEEPS

NOT_PARAMETERS = ("data_root",)
"""Runtime parameters that move the catalog and belong to no group."""


class UsersError(click.ClickException):
    """What the user gave cannot be used; the command ends as one with an unknown option does."""

    exit_code = 2


class ParameterGuardHook:
    """Stops at the first sight of a parameter that is unknown, mistyped or out of range."""

    def __init__(self) -> None:
        self._written: dict[str, Any] = {}

    @hook_impl
    def after_context_created(self, context: Any) -> None:
        """Validate the merged parameters of this environment and command line.

        The configuration is read raw: ``context.params`` would validate it first, less readably.
        What follows the model is filled in, and relative paths are taken from the project's folder, wherever the run
        is started from.
        """
        write_what_can_be_written()
        try:
            written = context.config_loader["parameters"]
            self._written = {k: v for k, v in written.items() if k not in NOT_PARAMETERS}
            merged = follow_model(written)
            validate_parameters({k: v for k, v in merged.items() if k not in NOT_PARAMETERS})
            refuse_remote(merged, str(context.config_loader["globals"]["data_root"]))
        except (InputError, YAMLError) as error:
            raise one_line(InputError(f"{error}{cut_at_comma(context)}")) from None
        context.config_loader["parameters"] = within(Path(context.project_path), merged)

    @hook_impl
    def before_pipeline_run(self, pipeline: Any) -> None:
        """Validate what the runs of a sweep change.

        Raises:
            UsersError: one could not run.
        """
        if not pipeline.only_nodes_with_tags(SWEEPS).nodes:
            return
        from mopo_pipeline.fronts.jobs import merged
        from mopo_pipeline.fronts.overrides import overrides
        from mopo_pipeline.fronts.variants import variants

        if "params:ablation" in pipeline.inputs():
            ablation = AblationParams.model_validate(self._written["ablation"])
            changed = {f"ablation.sweeps.{n}": made for n, made in variants(ablation).items()}
        else:
            front = self._written["front"]
            given, grid = front.get("variants") or {}, front.get("tuning")
            changed = {f"front.variants.{n}": made for n, made in given.items()}
            tried = variants(AblationParams(sweeps={"tuning": grid})) if grid else {}
            changed |= {f"front.{n}": made for n, made in tried.items()}
        for where, setting in changed.items():
            try:
                validate_parameters(merged(self._written, overrides(setting)))
            except InputError as error:
                raise one_line(InputError(f"{where}: {error}")) from None


def write_what_can_be_written() -> None:
    """Replace characters the terminal's encoding lacks: a dash is no reason to lose a run."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def refuse_remote(parameters: dict[str, Any], data_root: str) -> None:
    """Refuse remote addresses where a place on this machine is needed.

    Args:
        parameters: merged; may hold a data root of the command line.
        data_root: of the configuration.

    Raises:
        InputError: names the first, and what may be remote.
    """
    if places := remote_places({"data_root": data_root} | parameters):
        raise InputError(
            f"{places[0]} is a remote address, and artifacts, models and checkpoints lie on a disk of this machine: mount it "
            "(rclone mount, s3fs, gcsfuse) and give the path, or copy the folder before and after the run; ingest.path may be "
            "remote (s3://, gs://, hf://)"
        )


def cut_at_comma(context: Any) -> str:
    """What to add where ``--params`` names no group: a value with a comma in it was cut there."""
    known = [*GROUPS, *NOT_PARAMETERS]
    given = set(context.config_loader.runtime_params or {}) - set(known)
    if not any(not get_close_matches(name, known, cutoff=0.5) for name in given):
        return ""
    return (
        "; --params is cut at commas: a value that holds one stands in quotes of its own, "
        """'--params=data_root="a, b"'"""
    )


def data_root(context: Any) -> Path:
    """The folder of all artifacts of a run."""
    given = context.params.get("data_root", context.config_loader["globals"]["data_root"])
    return Path(context.project_path) / str(given)


def one_line(error: Exception) -> Exception:
    """Return what the command line prints without a traceback; outside of it, the error itself.

    What the user gave and can mend (data, parameters) ends the command with 2, all else with 1.
    """
    if click.get_current_context(silent=True) is None:
        return error
    mine = isinstance(error, MopoError | YAMLError)
    return UsersError(str(error)) if mine else click.ClickException(str(error))
