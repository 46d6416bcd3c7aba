"""``kedro run`` of this project: what cannot be run is one line that says so, before anything is loaded; ``kedro sweep``.

``kedro catalog`` and ``kedro registry`` are Kedro's own, with the same checks; ``describe-datasets`` says what each artifact is.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click
from kedro.framework.cli.catalog import catalog as kedro_catalog
from kedro.framework.cli.project import run as kedro_run
from kedro.framework.cli.registry import registry as kedro_registry
from kedro.utils import find_kedro_project

from mopo_pipeline.errors import InputError
from mopo_pipeline.hooks.config_faults import READ
from mopo_pipeline.hooks.runs import ONE_BY_ONE
from mopo_pipeline.pipelines.stage import TOLD

LOCAL = "local"
"""Folder of the configuration that counts where no environment is named."""

SUFFIXES = (".yml", ".yaml", ".json")
"""Of files of the configuration."""

UNUSED = frozenset({"base"})
"""Folders of the configuration that hold no environment of their own, and ``accelerate``'s files."""


def _tags(pipeline: Any) -> set[str]:
    tags = {tag for node in pipeline.nodes for tag in node.tags}
    return {tag for tag in tags if not tag.startswith(TOLD)}


SELECTING: dict[str, tuple[str, Callable[[Any], set[str]]]] = {
    "tags": ("tag", _tags),
    "node_names": ("node", lambda pipeline: {node.name for node in pipeline.nodes}),
    "from_nodes": ("node", lambda pipeline: {node.name for node in pipeline.nodes}),
    "to_nodes": ("node", lambda pipeline: {node.name for node in pipeline.nodes}),
    "from_inputs": ("dataset", lambda pipeline: set(pipeline.datasets())),
    "to_outputs": ("dataset", lambda pipeline: set(pipeline.datasets())),
    "namespaces": ("stage", lambda pipeline: {str(node.namespace) for node in pipeline.nodes}),
}
"""Options that choose parts of a pipeline: what they name, and which of them a pipeline has."""


RUNNER, SIDE_BY_SIDE = "SequentialRunner", ("ParallelRunner", "ThreadRunner")
"""Runners that Kedro brings, and those of them that are refused; any other is named by where it is imported from, with a dot."""


class PlainRun(click.Command):
    """The command with its mistakes told in one line each."""

    def invoke(self, context: click.Context) -> Any:
        """Check what the options name, then run."""
        log_as_the_project_does()
        check_environment(context.params)
        check_selection(context.params)
        check_runner(context.params.get("runner"))
        try:
            return super().invoke(context)
        except InputError as error:
            raise click.UsageError(str(error)) from None
        except ValueError as error:
            if "contains no nodes after" in str(error):
                raise click.UsageError(
                    "no node is left: the options name parts of the pipeline that exclude each other"
                ) from None
            raise


@click.group(name="mopo_pipeline")
def cli() -> None:
    """The project's own commands."""


def at_commas(text: str) -> list[str]:
    r"""Parts between commas; commas within brackets and braces, and in quotes there or around a value, part nothing.

    >>> at_commas("plan.tau=0.2,front.methods=[reference, best_of_n]"), at_commas("a=o'b,c=[1")
    (['plan.tau=0.2', 'front.methods=[reference, best_of_n]'], ["a=o'b", 'c=[1'])
    >>> at_commas(r'a="say \"no\", b",c=1')
    ['a="say \\"no\\", b"', 'c=1']
    """
    parts, depth, quote, escaped = [""], 0, "", False
    for letter in text:
        if quote:
            ends = letter == quote and not escaped
            escaped = quote == '"' and letter == "\\" and not escaped
            quote = "" if ends else quote
        elif letter in "'\"" and (depth or parts[-1].endswith("=")):
            quote = letter
        else:
            depth += (letter in "[{") - (letter in "]}")
        if letter == "," and not depth and not quote:
            parts.append("")
        else:
            parts[-1] += letter
    whole = parts if depth == 0 and not quote else text.split(",")
    return [part.strip() for part in whole if part.strip()]


def read_params(context: click.Context, option: click.Parameter, value: Any) -> Any:
    """``--params`` as nested tables: as Kedro reads it, and lists and tables as values.

    Raises:
        click.UsageError: a part without a name or without ``=``, or whose value is no YAML.
    """
    if isinstance(value, dict):
        return value
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    parts = at_commas(value)
    for part in parts:
        name, equals, given = part.partition("=")
        if not name.strip() or not equals:
            context.fail(f"--params: {part!r} is no name=value; several are separated by commas")
        try:
            OmegaConf.from_dotlist([part])
        except (YAMLError, OmegaConfBaseException):
            context.fail(
                f"--params: {given!r} is no value of {name.strip()}: brackets and quotes must be closed, a space follows "
                "the colon of a table, and the shell takes spaces and quotes for its own unless the whole option stands in quotes"
            )
    return OmegaConf.to_container(OmegaConf.from_dotlist(parts))


def _options() -> list[click.Parameter]:
    """Kedro's options of a run, ``--params`` read as above."""
    options = [copy(option) for option in kedro_run.params]
    for option in options:
        if option.name == "params":
            option.callback = read_params
    return options


run = PlainRun(
    name="run",
    callback=kedro_run.callback,
    params=_options(),
    help=kedro_run.help,
    context_settings=kedro_run.context_settings,
)
cli.add_command(run)


def asking(group: click.Group) -> click.Group:
    """A group of Kedro's commands that look at pipelines, their mistakes told in one line each."""
    made = copy(group)
    made.commands = {name: _checked(command) for name, command in group.commands.items()}
    return made


def _checked(command: click.Command) -> click.Command:
    made = copy(command)

    def invoke(context: click.Context) -> Any:
        check_environment(context.params)
        check_pipelines([*_listed(context.params.get("pipeline") or context.params.get("name"))])
        return command.invoke(context)

    made.invoke = invoke  # type: ignore[assignment, method-assign, unused-ignore]
    return made


@click.pass_obj
def describe_datasets(metadata: Any, pipeline: list[str] | None, env: str | None) -> None:
    """What every artifact of these pipelines is and where it lies, stage by stage; of all where none is named."""
    from kedro.framework.session import KedroSession

    from mopo_pipeline.pipeline_registry import STAGES
    from mopo_pipeline.reporting.catalog_table import catalog_table

    pipelines = check_pipelines([])
    wanted = {name for one in _listed(pipeline) or pipelines for name in pipelines[one].datasets()}
    session = KedroSession.create(metadata.project_path, save_on_close=False, env=env)
    catalog: Any = session.load_context().catalog
    resolver = catalog.config_resolver
    catalog_table({name: resolver.resolve_pattern(name) for name in wanted}, list(STAGES))


def _of_all(options: list[click.Parameter]) -> list[click.Parameter]:
    """Kedro's options, which say that the default pipeline is meant where none is named."""
    copies = [copy(option) for option in options]
    for option in copies:
        if option.name == "pipeline" and isinstance(option, click.Option):
            option.help = "Name of a pipeline, or several; all where none is named."
    return copies


catalog = asking(kedro_catalog)
catalog.commands["describe-datasets"] = _checked(
    click.Command(
        "describe-datasets",
        callback=describe_datasets,
        params=_of_all(kedro_catalog.commands["describe-datasets"].params),
        help=describe_datasets.__doc__,
    )
)
cli.add_command(catalog)
cli.add_command(asking(kedro_registry))


@cli.command()
@click.argument(
    "data_root", type=click.Path(exists=True, file_okay=False, path_type=Path), default="data"
)
def sweep(data_root: Path) -> None:
    """How the runs of a front or an ablation stand: what runs, what failed and why.

    DATA_ROOT is the folder of the run that sweeps, "data" where nothing is said.
    """
    from mopo_pipeline.fronts.status import sweep_status

    found = sweep_status(data_root)
    if not found:
        raise click.UsageError(
            f"no sweep lies in {data_root}: kedro run --pipelines=front or ablation makes one; name the folder of another "
            "data_root, such as data/smollm2"
        )
    width = max(len(one.name) for one in found)
    for one in found:
        took = "" if one.seconds is None else f"{one.seconds:.0f} s"
        job = f"  ({one.job})" if one.job else ""
        click.echo(f"{one.name:{width}}  {one.state:7}  {took:>8}  {one.told}{job}".rstrip())
    counts = Counter(one.state for one in found)
    click.echo(", ".join(f"{count} {state}" for state, count in counts.items()))


def log_as_the_project_does() -> None:
    """Take the project's logging in a folder below it too; Kedro looks for it in the working directory alone."""
    import yaml
    from kedro.framework.project import LOGGING

    project = find_kedro_project(Path.cwd())
    if project is None or os.environ.get("KEDRO_LOGGING_CONFIG") or Path.cwd() == Path(project):
        return
    file = Path(project) / "conf" / "logging.yml"
    if file.is_file():
        LOGGING.configure(yaml.safe_load(file.read_text(encoding="utf-8")))


def check_environment(options: Mapping[str, Any]) -> None:
    """Refuse a place without configuration, and an environment that has no folder or whose files would not be read.

    Raises:
        click.UsageError: names those there are, or the file.
    """
    environment, source = options.get("env"), options.get("conf_source")
    folder = Path(source or (find_kedro_project(Path.cwd()) or Path.cwd()) / "conf")
    if not source and not (folder / "base").is_dir():
        raise click.UsageError(
            f"no configuration: {folder / 'base'} is not there. Start where conf lies, or name that folder, or the archive "
            "that `kedro package` writes, by --conf-source"
        )
    if not folder.is_dir():
        return
    check_files(folder / (environment or LOCAL), needed=environment not in {None, LOCAL, *UNUSED})
    if environment is None:
        return
    known = sorted(
        place.name
        for place in folder.iterdir()
        if place.is_dir() and place.name != "accelerate" and not place.name.startswith((".", "_"))
    )
    if environment not in known:
        raise click.UsageError(
            f"{told('environment', environment, set(known) - UNUSED)}. A new one is the folder {folder / environment} with "
            "a parameters.yml"
        )


def check_files(folder: Path, *, needed: bool) -> None:
    """Refuse an environment's files that are called otherwise than those that are read: the base's values would be taken.

    Args:
        folder: of the environment; passed over where there is none.
        needed: whether it must hold a file that is read.

    Raises:
        click.UsageError: names the file, and what to call it.
    """
    inside = [f for f in sorted(folder.rglob("*")) if f.is_file() and not f.name.startswith(".")]
    read = [f for f in inside if f.suffix in SUFFIXES and _begins_as_read(f.relative_to(folder))]
    passed = [f for f in inside if f not in read and f.suffix.lower() in (*SUFFIXES, ".txt")]
    meant = {f: get_close_matches(f.stem.lower(), READ, n=1, cutoff=0.6) for f in passed}
    told = [(f, f"name it {names[0]}.yml") for f, names in meant.items() if names]
    told += [(f, "parameters stand in parameters.yml") for f in passed if needed and not read]
    if told:
        raise click.UsageError(f"{told[0][0]} is not read: {told[0][1]}")
    if needed and not read and folder.is_dir():
        raise click.UsageError(
            f"{folder} holds nothing that is read: write what differs from conf/base to a parameters.yml in it"
        )


def _begins_as_read(inside: Path) -> bool:
    return any(part.startswith(READ) for part in inside.parts)


def check_selection(options: Mapping[str, Any]) -> None:
    """Refuse names of pipelines, and of parts, that the project does not have.

    Raises:
        click.UsageError: names the nearest, or all there are.
    """
    wanted = [options["pipeline"]] if options.get("pipeline") else list(options["pipelines"] or [])
    pipelines = check_pipelines(wanted)
    chosen = [pipelines[name] for name in wanted or ["__default__"]]
    for option, (kind, names) in SELECTING.items():
        known = {name for pipeline in chosen for name in names(pipeline)}
        for name in _listed(options.get(option)):
            if name not in known:
                raise click.UsageError(_of_part(kind, name, known, wanted))


def check_pipelines(wanted: list[str]) -> dict[str, Any]:
    """Refuse names of pipelines that the project does not have; returns those it has, by name.

    Raises:
        click.UsageError: names the nearest, or all there are.
    """
    from mopo_pipeline.pipeline_registry import register_pipelines

    pipelines = register_pipelines()
    for name in wanted:
        if name not in pipelines:
            raise click.UsageError(told("pipeline", name, set(pipelines) - {"__default__"}))
    return dict(pipelines)


def check_runner(name: str | None) -> None:
    """Refuse a runner that Kedro does not bring, or that runs nodes side by side.

    Raises:
        click.UsageError: names the one there is, or says why nodes are not run side by side.
    """
    if name is None:
        return
    if name.rpartition(".")[2] in SIDE_BY_SIDE:
        raise click.UsageError(f"--runner={name}: {ONE_BY_ONE}")
    if "." not in name and name != RUNNER:
        raise click.UsageError(told("runner", name, [RUNNER]))


def _of_part(kind: str, name: str, known: set[str], wanted: list[str]) -> str:
    stages = {part.split(".")[0] for part in known}
    said = told(kind, name, known)
    if kind == "node" and name in stages:
        inside = ", ".join(sorted(part for part in known if part.startswith(f"{name}.")))
        said = f"{name} is a stage, not a node: --namespaces={name}, or one of its nodes, {inside}"
    where = f" in --pipelines={','.join(wanted)}" if wanted else ""
    return said + where if kind != "node" or name not in stages else said


def told(kind: str, name: str, known: Iterable[str]) -> str:
    """No such thing, and what there is: the nearest, or all where they are few.

    >>> told("tag", "trane", {"train", "plan"})
    "no tag 'trane', did you mean 'train'?"
    >>> told("tag", "xyz", {"train", "plan"})
    "no tag 'xyz'; there are plan, train"
    """
    given = sorted(known)
    close = get_close_matches(name, given, n=1, cutoff=0.5)
    if close:
        return f"no {kind} {name!r}, did you mean {close[0]!r}?"
    return f"no {kind} {name!r}; there are {', '.join(given)}"


def _listed(value: Any) -> list[str]:
    if not value:
        return []
    return [value] if isinstance(value, str) else [str(name) for name in value]
