"""How the pipelines are declared: functions by name, stages as boxes, inputs with and without effect."""

import ast
import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import NoneType
from typing import Any, get_args

import pytest
from kedro.config import OmegaConfigLoader
from kedro.io import DataCatalog
from kedro.pipeline import Node
from kedro.validation.type_extractor import TypeExtractor

from conftest import PROJECT
from mopo_pipeline.parameters.engine import EngineParams
from mopo_pipeline.parameters.groups import GROUPS
from mopo_pipeline.pipeline_registry import BY_NAME, STAGES, register_pipelines
from mopo_pipeline.pipelines.lazy import lazy
from mopo_pipeline.pipelines.stage import drawing, has_effect, order_only, reads, stage
from mopo_pipeline.settings import CONFIG_LOADER_ARGS

PIPELINES = register_pipelines()
NODES = [
    *PIPELINES["__default__"].nodes,
    *PIPELINES["synthetic"].nodes,
    *PIPELINES["explore"].only_nodes_with_tags("explore").nodes,
]


@pytest.mark.parametrize("node", NODES, ids=lambda node: node.name)
def test_a_node_shows_the_source_signature_and_place_of_the_function_it_runs(node: Node) -> None:
    real = getattr(import_module(node.func.__module__), node.func.__name__)
    assert real is not node.func
    assert inspect.getsource(node.func) == inspect.getsource(real)
    assert inspect.getfile(node.func) == inspect.getfile(real)
    assert inspect.getdoc(node.func) == inspect.getdoc(real)
    shown, true = (inspect.signature(f).parameters.values() for f in (node.func, real))
    assert [(p.name, p.kind, p.default is p.empty) for p in shown] == [
        (p.name, p.kind, p.default is p.empty) for p in true
    ]


def test_kedro_checks_every_parameter_group_that_a_node_reads() -> None:
    for pipeline in (PIPELINES["__default__"], PIPELINES["synthetic"]):
        read = {name.removeprefix("params:") for name in pipeline.inputs() if "params:" in name}
        typed = TypeExtractor({"x": pipeline}).extract_types_from_pipelines()
        assert typed == {name: GROUPS[name] for name in read}


def test_a_lazy_function_does_what_the_real_one_does() -> None:
    assert lazy("mopo_pipeline.reporting.summary:number")(1) == 1.0


def test_a_node_with_too_few_inputs_is_refused_where_it_is_defined() -> None:
    with pytest.raises(TypeError, match=r"expected \['params', 'task'\]"):
        Node(lazy("mopo_pipeline.sources.load:load_source"), ["params:ingest"], "made")


@pytest.mark.parametrize("target", ["plan.make:make_plans", "plan.maker:make_plan", "plan.make"])
def test_a_function_that_is_not_there_is_named_where_it_is_wired(target: str) -> None:
    with pytest.raises(ValueError, match=f"mopo_pipeline.{target}"):
        lazy(f"mopo_pipeline.{target}")


def test_the_registry_imports_nothing_that_a_node_needs() -> None:
    code = (
        "import sys; from mopo_pipeline.pipeline_registry import register_pipelines;"
        "register_pipelines();"
        "heavy = {'torch', 'transformers', 'matplotlib', 'scipy', 'pandas', 'numpy'};"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(PROJECT / "src")},
    )
    assert done.stdout.strip() == "[]"


def test_the_whole_pipeline_is_seven_boxes_in_the_order_data_walks_through_them() -> None:
    groups = PIPELINES["__default__"].group_nodes_by("namespace")
    assert {group.type for group in groups} == {"namespace"}
    assert sorted(group.name for group in groups) == sorted(STAGES)
    before = {group.name: set(group.dependencies) for group in groups}
    for place, name in enumerate(STAGES):
        assert before[name] <= set(STAGES[:place])


@pytest.mark.parametrize("name", ["plan", "train"])
def test_a_pipeline_that_is_asked_for_by_name_brings_what_it_needs(name: str) -> None:
    whole = PIPELINES[name]
    assert [given for given in whole.inputs() if not given.startswith("params:")] == []
    assert {tag for node in whole.nodes for tag in node.tags} >= set(STAGES[: STAGES.index(name)])


def test_a_plan_that_is_run_alone_ends_with_its_table() -> None:
    last = PIPELINES["plan"].grouped_nodes[-1]
    assert [node.name for node in last] == ["plan.print_plan"]
    assert not last[0].outputs


@pytest.mark.parametrize(
    ("stages", "told"),
    [(("ingest", "preferences", "plan"), True), (("plan",), True), (("plan", "train"), False)],
)
def test_a_run_that_ends_with_its_plan_says_how_to_go_on(
    stages: tuple[str, ...], told: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    from mopo_pipeline.parameters.report import ReportParams
    from mopo_pipeline.pipelines.plan.nodes import print_plan

    row = dict.fromkeys(("asked", "together", "bound", "price", "effective", "bound_at_twice"))
    row |= {"name": "a", "attainable_low": 0.2, "attainable_high": 0.8, "planned": 0.6}
    row |= {"proposed": False}
    params = ReportParams(command="kedro run --env=mine", stages=stages)
    print_plan({"objectives": [row], "comparisons": 3}, params)
    said = "next: kedro run --env=mine --only-missing-outputs"
    assert (said in capsys.readouterr().out) is told
    print_plan({"objectives": [row], "comparisons": 3}, params.model_copy(update={"trained": True}))
    said = "next: kedro run --env=mine --from-nodes=train.train_policy"
    assert (said in capsys.readouterr().out) is told


def test_thresholds_are_explored_from_parameters_alone_and_without_a_plan_that_might_stop() -> None:
    made = PIPELINES["explore"].all_outputs()
    assert "plan_explorer" in made
    assert "training_plan" not in made
    assert all(name.startswith("params:") for name in PIPELINES["explore"].inputs())


def test_nodes_are_named_by_their_stage_and_datasets_are_not() -> None:
    for name in STAGES:
        nodes = PIPELINES["__default__"].only_nodes_with_tags(name).nodes
        assert nodes
        assert all(node.name == f"{name}.{node.short_name}" for node in nodes)
    names = {
        name.removeprefix("params:") for node in NODES for name in (*node.inputs, *node.outputs)
    }
    assert not [name for name in names if "." in name]


def test_an_input_that_only_orders_has_no_effect_and_every_other_one_has() -> None:
    [made] = stage(
        "s",
        [Node(max, ["a", "params:b", "c"], "d", name="n", tags=order_only("a", "params:b"))],
    ).nodes
    assert [name for name in made.inputs if has_effect(made, name)] == ["c"]


def test_a_front_s_plan_rests_on_where_its_points_lie_and_on_nothing_else_of_the_front() -> None:
    [planned] = PIPELINES["front"].only_nodes("front.plan_points").nodes
    keys = GROUPS["front"].model_fields
    assert {k for k in keys if reads(planned, f"front.{k}")} == {"points", "reach", "thresholds"}


def test_what_is_asked_of_a_steerable_policy_does_not_decide_it() -> None:
    [trained] = PIPELINES["steerable"].only_nodes("steerable.train_steerable").nodes
    keys = GROUPS["steerable"].model_fields
    assert {k for k in keys if not reads(trained, f"steerable.{k}")} == {"thresholds"}


def test_a_node_waits_only_for_inputs_it_has() -> None:
    for node in NODES:
        named = {tag for tag in node.tags if tag.startswith("order-only.")}
        assert named <= set(order_only(*node.inputs)), node.name


def test_hooks_name_no_node() -> None:
    nodes = [node for pipeline in PIPELINES.values() for node in pipeline.nodes]
    names = {node.short_name for node in nodes} | {node.name for node in nodes}
    for file in (PROJECT / "src/mopo_pipeline/hooks").glob("*.py"):
        parts = ast.walk(ast.parse(Path(file).read_text(encoding="utf-8")))
        assert not names & {p.value for p in parts if isinstance(p, ast.Constant)}, file.name


def test_a_node_that_draws_names_a_place_that_holds_an_engine() -> None:
    places = [place for _, place in drawing(PIPELINES["__default__"].nodes)]
    assert sorted(places) == ["evaluate.sampling.engine", "ingest.sampled.engine"]
    for place in places:
        group, *keys = place.split(".")
        model: Any = GROUPS[group]
        for key in keys:
            held = model.model_fields[key].annotation
            model = next(part for part in (*get_args(held), held) if part is not NoneType)
        assert model is EngineParams


@pytest.mark.parametrize("name", ["front", "ablation"])
def test_one_node_of_a_sweep_starts_its_runs(name: str) -> None:
    [node] = PIPELINES[name].only_nodes_with_tags("sweeps").nodes
    assert node.name.startswith(f"{name}.train_")


def test_every_artifact_is_declared_lies_in_a_place_of_its_own_and_says_what_it_is() -> None:
    loader = OmegaConfigLoader(str(PROJECT / "conf"), **CONFIG_LOADER_ARGS)
    catalog = DataCatalog.from_config(loader["catalog"])
    places = {}
    for name, pipeline in PIPELINES.items():
        for made in pipeline.all_outputs():
            settings = catalog.config_resolver.resolve_pattern(made)
            assert settings, made
            places[made] = settings["filepath"]
            assert settings["metadata"]["description"]
            layer = settings["metadata"]["kedro-viz"]["layer"]
            assert layer in (*STAGES, *BY_NAME)
            if name == layer:
                assert made in PIPELINES[layer].only_nodes_with_namespaces([layer]).all_outputs()
    assert len(set(places.values())) == len(places) >= 40
