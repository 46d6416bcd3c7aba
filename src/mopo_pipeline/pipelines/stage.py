"""What every stage shares: a namespace, a tag, and what its nodes say of their inputs."""

from kedro.pipeline import Node, Pipeline

THRESHOLDS = "thresholds"
"""Tag of nodes that read the thresholds of ``params:task``; all others depend on objective names and seed alone."""

ORDER_ONLY = "order-only."
"""Begin of tags that name an input without effect on what a node makes."""


def stage(name: str, nodes: list[Node]) -> Pipeline:
    """Nodes as ``<stage>.<node>``, one box in Kedro-Viz and one tag; datasets keep their names."""
    return Pipeline(nodes, namespace=name, prefix_datasets_with_namespace=False, tags=name)


def order_only(*inputs: str) -> list[str]:
    """Tags of a node that waits for these inputs, or only checks them: they are no part of its fingerprint."""
    return [ORDER_ONLY + _plain(name) for name in inputs]


def has_effect(node: Node, name: str) -> bool:
    """Whether an input decides what a node makes."""
    return ORDER_ONLY + _plain(name) not in node.tags


def _plain(name: str) -> str:
    """A tag has no colon."""
    return name.replace(":", ".")
