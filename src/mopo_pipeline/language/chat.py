"""A conversation in a model's own tokens: where an answer begins, what closes it.

Control tokens come from the model's chat template alone. Text of the data that looks like one
(``<|im_end|>``) is spelled out in ordinary tokens, or refused where the tokenizer cannot.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from jinja2 import TemplateError

from mopo_pipeline.errors import InputError
from mopo_pipeline.tables import chat_messages, prompt_text

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PLAIN_TEMPLATE = (
    "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)
"""For tokenizers without a template; the space before an answer belongs to the answer's first token."""

ASSISTANT = "assistant"
"""The role of who is trained."""

TEMPLATE_FAULTS = (TemplateError, TypeError, ValueError, KeyError, AttributeError)
"""What a template raises that does not bear a conversation: of its own accord, or because it expects other messages."""

_QUESTION, _ANSWER = "Question", "Answer"
_OPEN, _CLOSE = "\ue000", "\ue001"
_PLACEHOLDER = re.compile(f"{_OPEN}(\\d+){_CLOSE}")


def _says(text: str, content: str) -> bool:
    """Whether a rendered text holds what a message says, white space aside."""
    return content.strip() in text or " ".join(content.split()) in " ".join(text.split())


def conversation(prompt: str, response: str) -> list[dict[str, Any]]:
    """A stored prompt and an answer to it as messages, as a trainer with a chat template takes them."""
    return [*chat_messages(prompt), {"role": ASSISTANT, "content": response}]


@dataclass(frozen=True)
class Chat:
    """A tokenizer's conversations.

    Attributes:
        tokenizer: with a chat template.
    """

    tokenizer: "PreTrainedTokenizerBase"

    @cached_property
    def control(self) -> dict[str, int]:
        """Tokens only a template may write, with their ids: special ones, and those of its turns."""
        tokenizer = self.tokenizer
        added = tokenizer.added_tokens_decoder
        found = dict(zip(tokenizer.all_special_tokens, tokenizer.all_special_ids, strict=True))
        turns = self._probe(_QUESTION, _ANSWER, _QUESTION, asks=True)
        found |= {t.content: i for i, t in added.items() if t.special or t.content in turns}
        return {text: int(i) for text, i in found.items()}

    @cached_property
    def end_id(self) -> int:
        """The token that closes an answer: the template's, or the tokenizer's end token."""
        closing = self._surroundings[1]
        found = self._pattern.search(closing)
        return self.control[found[0]] if found else int(self.tokenizer.eos_token_id)

    @cached_property
    def closing_ids(self) -> list[int]:
        """All that the template writes after an answer, as who reads whole conversations is used to; the end token without."""
        return self._ids(self._surroundings[1]) or [self.end_id]

    def end_ids(self, model: Any) -> list[int]:
        """Every token at which ``model`` ends an answer, ascending."""
        return self.end_ids_named(model.generation_config.eos_token_id)

    def end_ids_named(self, named: int | list[int] | None) -> list[int]:
        """Every token at which a model ends an answer whose generation settings name these, ascending."""
        theirs = named if isinstance(named, list) else [] if named is None else [named]
        return sorted({self.end_id, int(self.tokenizer.eos_token_id), *map(int, theirs)})

    def prompt(self, prompt: str) -> tuple[list[int], str]:
        """Ids of a stored prompt up to where the answer begins, and its masked text.

        Raises:
            InputError: the template refuses the conversation, or a control token stands in it.
        """
        text = self._masked(prompt)
        if not _PLACEHOLDER.search(text):
            return self._begin + self._ids(text), text
        bare = _PLACEHOLDER.sub("", text)
        ids = self._pieces(text)
        own = sum(self._is_control(self.control.get(p, -1)) for p in self._pattern.split(text))
        if self._pieces(bare) != self._ids(bare) or own != sum(map(self._is_control, ids)):
            raise InputError(
                f"the prompt {prompt_text(prompt)[:40]!r}... holds {self._first_token(text)!r}, a control token of the "
                "model, which its tokenizer cannot write as text: take it out of the prompt"
            )
        return self._begin + ids, text

    def answers(self, heads: Sequence[str], responses: Sequence[str]) -> list[list[int]]:
        """Ids of answers as they follow their prompts, no end token.

        Args:
            heads: masked prompt texts, one per response.
            responses: texts.

        Raises:
            InputError: a control token stands in a response, by row.
        """
        lead = self._surroundings[0]
        tails = [self._tail(head) for head in heads]
        guarded = [
            bool(self._pattern.search(response) or _PLACEHOLDER.search(tail))
            for tail, response in zip(tails, responses, strict=True)
        ]
        found: list[list[int]] = [[] for _ in responses]
        for split in (False, True):
            rows = [i for i, special in enumerate(guarded) if special == split]
            before = {i: self._restored(tails[i], drop_control=split) for i in rows}
            whole = self._batch([before[i] + lead + responses[i] for i in rows], split)
            starts = list(dict.fromkeys(before.values()))
            known = dict(zip(starts, self._batch(starts, split), strict=True))
            for i, ids in zip(rows, whole, strict=True):
                start = known[before[i]]
                same = ids[: len(start)] == start
                found[i] = ids[len(start) :] if same else self._ids(lead + responses[i], split)
        self._refuse_control(found, responses)
        return found

    def without_control(self, ids: Sequence[int]) -> list[int]:
        """Generated ids as text may hold them."""
        return [i for i in ids if not self._is_control(i)]

    @cached_property
    def _begin(self) -> list[int]:
        """The begin token where the tokenizer puts one before a text and no template of its own says where."""
        if self.tokenizer.chat_template != PLAIN_TEMPLATE:
            return []
        first = list(self.tokenizer("a")["input_ids"])[:1]
        return first if first == [self.tokenizer.bos_token_id] else []

    @cached_property
    def _surroundings(self) -> tuple[str, str]:
        """What stands between a generation prompt and an answer (white space), and after the answer."""
        asked = self._probe(_QUESTION, asks=True)
        whole = self._probe(_QUESTION, _ANSWER, asks=False)
        before, _, after = whole.rpartition(_ANSWER)
        between = before.removeprefix(asked) if before.startswith(asked) else ""
        return (between if between.isspace() else ""), after

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        longest = sorted(self.control, key=len, reverse=True)
        return re.compile("(" + "|".join(map(re.escape, longest)) + ")")

    @cached_property
    def _control_ids(self) -> frozenset[int]:
        """Ids no text may hold; the unknown token stands for any word."""
        return frozenset(self.control.values()) - {self.tokenizer.unk_token_id}

    def _is_control(self, token: int) -> bool:
        return token in self._control_ids

    def _probe(self, *texts: str, asks: bool) -> str:
        roles = ("user", ASSISTANT)
        messages = [{"role": roles[i % 2], "content": text} for i, text in enumerate(texts)]
        try:
            return self._render(messages, asks)
        except TEMPLATE_FAULTS:
            return ""

    def _render(self, messages: list[dict[str, str]], asks: bool) -> str:
        return str(
            self.tokenizer.apply_chat_template(messages, add_generation_prompt=asks, tokenize=False)
        )

    def _masked(self, prompt: str) -> str:
        """The rendered prompt, control tokens of its messages replaced by placeholders."""
        numbers = {text: f"{_OPEN}{n}{_CLOSE}" for n, text in enumerate(self.control)}
        messages = [
            m | {"content": self._pattern.sub(lambda found: numbers[found[0]], m["content"])}
            for m in chat_messages(prompt)
        ]
        try:
            text = self._render(messages, asks=True)
        except TEMPLATE_FAULTS as error:
            raise InputError(
                f"the model's chat template refuses the prompt {prompt_text(prompt)[:40]!r}... ({error}): drop it, or "
                "rewrite its messages"
            ) from error
        for message in messages:
            if message["role"] != ASSISTANT and not _says(text, message["content"]):
                raise InputError(
                    f"the model's chat template leaves out what the {message['role']} says in the prompt "
                    f"{prompt_text(prompt)[:40]!r}...: move it to a message that the template writes, or give the tokenizer "
                    "a template for messages of plain text"
                )
        return text

    def _restored(self, text: str, *, drop_control: bool = False) -> str:
        names = list(self.control)
        bare = self._pattern.sub("", text) if drop_control else text
        return _PLACEHOLDER.sub(lambda found: names[int(found[1])], bare)

    def _tail(self, text: str) -> str:
        """From the last control token of a masked text on."""
        found = list(self._pattern.finditer(text))
        return text[found[-1].start() :] if found else text

    def _pieces(self, text: str) -> list[int]:
        """Ids of a masked text: its control tokens as such, everything between them as text."""
        ids: list[int] = []
        for piece in filter(None, self._pattern.split(text)):
            own = self.control.get(piece)
            ids += self._ids(self._restored(piece), split=True) if own is None else [own]
        return ids

    def _ids(self, text: str, split: bool = False) -> list[int]:
        return self._batch([text], split)[0]

    def _batch(self, texts: list[str], split: bool) -> list[list[int]]:
        if not texts:
            return []
        encoded = self.tokenizer(texts, add_special_tokens=False, split_special_tokens=split)
        return list(encoded["input_ids"])

    def _first_token(self, masked: str) -> str:
        found = _PLACEHOLDER.search(masked)
        return list(self.control)[int(found[1])] if found else ""

    def _refuse_control(self, answers: list[list[int]], responses: Sequence[str]) -> None:
        names = {i: text for text, i in self.control.items()}
        for row, ids in enumerate(answers):
            held = next((names[i] for i in ids if self._is_control(i)), None)
            if held is not None:
                raise InputError(
                    f"row {row}: the response {responses[row][:40]!r}... holds {held!r}, a control token of the model, "
                    "which its tokenizer cannot write as text: take it out of the response"
                )
