"""Keys and values that grow in place: a token more is written behind the others, which are not copied for it."""

from functools import cache
from typing import Any

ROOM = 32
"""Tokens for which room is made at once."""


def with_room(known: Any) -> None:
    """Let the layers of a cache that are copied for every token grow in place; others stay as they are."""
    from transformers.cache_utils import DynamicLayer

    layers = getattr(known, "layers", [])
    for place, layer in enumerate(layers):
        if type(layer) is DynamicLayer:
            layers[place] = _growing()(layer)


@cache
def _growing() -> Any:
    """The kind of layer; made when it is first needed, for its library takes seconds to import."""
    from transformers.cache_utils import DynamicLayer

    class GrowingLayer(DynamicLayer):  # type: ignore[misc, unused-ignore]
        """Keys and values (lines, heads, tokens, width), each the beginning of a tensor with room for more tokens."""

        def __init__(self, layer: Any) -> None:
            super().__init__()  # type: ignore[no-untyped-call, unused-ignore]
            self.lazy_initialization(layer.keys, layer.values)
            self.keys, self.values = layer.keys, layer.values
            self.room: dict[str, Any] = {}

        def update(self, key_states: Any, value_states: Any, *_: Any, **__: Any) -> tuple[Any, Any]:
            """Add tokens; all there are now."""
            self.keys = self._longer("keys", self.keys, key_states)
            self.values = self._longer("values", self.values, value_states)
            return self.keys, self.values

        def reorder_cache(self, beam_idx: Any) -> None:
            """Keep these lines (k,), a line as often as it is named."""
            super().reorder_cache(beam_idx)
            self.room = {}

        def _longer(self, name: str, known: Any, new: Any) -> Any:
            length = known.shape[-2]
            needed = length + new.shape[-2]
            if name not in self.room or self.room[name].shape[-2] < needed:
                shape = (*known.shape[:-2], needed + ROOM, known.shape[-1])
                self.room[name] = known.new_empty(shape)
                self.room[name][..., :length, :] = known
            self.room[name][..., length:needed, :] = new
            return self.room[name][..., :needed, :]

    return GrowingLayer
