"""What every stage shares: a namespace, a tag, and what its nodes say of their inputs."""

from collections.abc import Iterable

from kedro.pipeline import Node, Pipeline

THRESHOLDS = "thresholds"
"""Tag of nodes that read the thresholds of ``params:task``; all others depend on objective names and seed alone."""

ORDER_ONLY = "order-only."
"""Begin of tags that name an input without effect on what a node makes."""

SWEEPS = "sweeps"
"""Tag of nodes that start whole runs."""

TRAINS_RIVALS = "trains-rivals"
"""Tag of nodes that train the rivals ``front.methods`` names."""

DRAWS_WITH = "draws-with."
"""Begin of the tag of a node that draws answers: where its engine stands among the parameters."""

READS_ONLY = "reads-only."
"""Begin of tags that name the keys of a parameter group that a node reads, where it does not read all."""

TOLD = (ORDER_ONLY, READS_ONLY, DRAWS_WITH, TRAINS_RIVALS)
"""Begins of tags that tell something of a node and group none."""


def stage(name: str, nodes: list[Node]) -> Pipeline:
    """Nodes as ``<stage>.<node>``, one box in Kedro-Viz and one tag; datasets keep their names."""
    return Pipeline(nodes, namespace=name, prefix_datasets_with_namespace=False, tags=name)


def order_only(*inputs: str) -> list[str]:
    """Tags of a node that waits for these inputs, or only checks them: they are no part of its fingerprint."""
    return [ORDER_ONLY + _plain(name) for name in inputs]


def has_effect(node: Node, name: str) -> bool:
    """Whether an input decides what a node makes."""
    return ORDER_ONLY + _plain(name) not in node.tags


def reads_only(group: str, *keys: str) -> list[str]:
    """Tags of a node that takes a parameter group and reads these keys of it, or all that stands below one.

    The others are no part of its fingerprint.
    """
    return [f"{READS_ONLY}{group}.{key}" for key in keys]


def reads(node: Node, key: str) -> bool:
    """Whether a parameter, by its full name, decides what a node makes."""
    group = f"{READS_ONLY}{key.split('.', maxsplit=1)[0]}."
    named = [tag.removeprefix(READS_ONLY) for tag in node.tags if tag.startswith(group)]
    return not named or any(key == name or key.startswith(f"{name}.") for name in named)


def draws_with(place: str) -> str:
    """Tag of a node that draws answers with the engine at this place of the parameters, dotted."""
    return DRAWS_WITH + place


def drawing(nodes: Iterable[Node]) -> list[tuple[Node, str]]:
    """Nodes that draw answers, each with the place of its engine."""
    tagged = [(node, tag) for node in nodes for tag in node.tags]
    return [
        (node, tag.removeprefix(DRAWS_WITH)) for node, tag in tagged if tag.startswith(DRAWS_WITH)
    ]


def _plain(name: str) -> str:
    """A tag has no colon."""
    return name.replace(":", ".")
