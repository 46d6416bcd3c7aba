"""Dialogues kept in one string: turns marked the way two published data sets mark them."""

import json
import re
from typing import Any

from mopo_pipeline.columns import text
from mopo_pipeline.errors import InputError
from mopo_pipeline.sources.messages import Message, chat

_TURN = re.compile(r"(?:^|\r?\n\r?\n)(Human|Assistant):")
_ANSWER_TO_COME = re.compile(r"(?:\r?\n){2}Assistant:\s*\Z")
_MARKER = re.compile(r"(?:\r?\n)?<extra_id_1>(User|Assistant)\r?\n")


def last_answer(dialogue: Any, prompt: list[Message]) -> tuple[str, str]:
    """Everything before the last answer, as a stored prompt, and that answer.

    Args:
        dialogue: ``Human:`` and ``Assistant:`` turns in one string, or a list of messages; where
            there is a prompt, an answer alone.
        prompt: what an answer alone answers.

    Raises:
        InputError: the last turn is none of the assistant's, nothing stands before it, or what does lacks the prompt.
    """
    messages = chat(dialogue)
    if messages is None:
        messages = _marked_turns(text(dialogue))
        if messages and messages[0]["role"] != "assistant" and not _holds(messages, prompt):
            messages = None
    if messages is None and prompt:
        messages = [{"role": "assistant", "content": text(dialogue)}]
    if not messages or messages[-1]["role"] != "assistant":
        raise InputError(
            "no dialogue that ends with an answer of the assistant (turns begin with 'Human:' and 'Assistant:' after an empty line)"
        )
    before = messages[:-1]
    if messages[0]["role"] == "assistant":
        before = [*prompt, *before]
    elif not _holds(before, prompt):
        raise InputError("a dialogue that lacks the prompt beside it")
    else:
        told = [message for message in prompt if message["role"] == "system"]
        before = [*(message for message in told if message not in before), *before]
    if not before:
        raise InputError("no dialogue that asks something before the answer")
    return json.dumps(before, ensure_ascii=False), messages[-1]["content"]


def _holds(messages: list[Message], prompt: list[Message]) -> bool:
    """Whether a dialogue asks what its prompt asks last; one without a question, such as a system's, is held by any."""
    asked = [message["content"].split() for message in prompt if message["role"] != "system"]
    return not asked or asked[-1] in [message["content"].split() for message in messages]


def prompt_messages(prompt: Any) -> list[Message]:
    """Messages of a prompt: a list, marked turns (an empty last one is the answer's), or plain text."""
    messages = chat(prompt) or _marked_turns(text(prompt))
    if messages is None:
        return [{"role": "user", "content": _ANSWER_TO_COME.sub("", text(prompt))}]
    return messages if messages[-1]["content"] else messages[:-1]


def marked_prompt(prompt: str) -> str:
    r"""A prompt with ``<extra_id_1>`` turn marks as a JSON list of messages.

    >>> marked_prompt("Hi\n<extra_id_1>Assistant\nHello.\n<extra_id_1>User\nBye")
    '[{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}, {"role": "user", "content": "Bye"}]'
    """
    first, *rest = _MARKER.split(prompt)
    said = zip(["User", *rest[::2]], [first, *rest[1::2]], strict=True)
    messages = [{"role": role.lower(), "content": content} for role, content in said]
    if len(messages) > 1 and not messages[-1]["content"].strip():
        messages = messages[:-1]
    return json.dumps(messages, ensure_ascii=False)


def _marked_turns(dialogue: str) -> list[Message] | None:
    """Turns of a string; text before the first one is what the system was told. None: no turns, or whose question is called otherwise."""
    before, *rest = _TURN.split(dialogue)
    if not rest or (before.strip() and "Human" not in rest[::2]):
        return None
    roles = {"Human": "user", "Assistant": "assistant"}
    turns = [
        {"role": roles[speaker], "content": said.strip()}
        for speaker, said in zip(rest[::2], rest[1::2], strict=True)
    ]
    system = before.strip().removeprefix("System:").strip()
    return [{"role": "system", "content": system}, *turns] if system else turns
