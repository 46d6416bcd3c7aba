"""How a model is asked which of two answers is better, and how likely it says A or B."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from threading import Event
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from mopo_pipeline.arrays import Array
from mopo_pipeline.errors import InputError
from mopo_pipeline.language.endpoint import chat
from mopo_pipeline.parameters.endpoint import EndpointParams
from mopo_pipeline.parameters.evaluate import BATCH_TOKENS
from mopo_pipeline.parameters.judges import ChatJudgeParams
from mopo_pipeline.progress import track
from mopo_pipeline.tables import chat_messages, chat_prompt

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

QUESTION = (
    "Two assistants answered the same conversation. Judge their answers on one thing alone: {rubric}\n\n"
    "[Conversation]\n{conversation}\n\n[Answer A]\n{a}\n\n[Answer B]\n{b}\n\n[End]\n"
    "Which answer is better on that one thing? Reply with one letter, A or B."
)
"""What a chat model is asked; a change of it is a change of the judge."""

CUT = " [...]"
TOP = 20
"""Likeliest tokens an endpoint is asked for, the most that the protocol knows."""

NEEDED = "a judge rests on log-probabilities: use a server and a model that tell them"

LETTERS = ("A", "B")
_MARKS = "\u0120\u010a\u2581 \t\n"
"""White space as tokenizers spell it."""

MOST_MASS = 1.01
"""Sum of probabilities above which they are none, rounding of single precision allowed for."""

_LEAST = 1e-9
"""Probability below which a letter is taken for as unlikely as this."""


class Asked(NamedTuple):
    """What a model makes of a question.

    Attributes:
        log_odds: of A against B; 0 where it says neither.
        mass: probability of either letter.
    """

    log_odds: float
    mass: float


class Model(Protocol):
    """Answers questions of one letter.

    Attributes:
        identity: what its answers depend on, for the cache.
    """

    identity: str

    def ask(self, questions: Sequence[str], description: str) -> Iterable[tuple[int, Asked]]:
        """What it makes of each question, by its number and as it comes, so that what comes before a fault is kept."""


def question(rubric: str, prompt: str, first: str, second: str, most: int) -> str:
    """The question about a stored prompt and two answers: ``most`` characters, a conversation's last and an answer's first."""
    said = "\n".join(f"{m['role']}: {m['content']}" for m in chat_messages(prompt))
    return QUESTION.format(
        rubric=rubric.strip(),
        conversation=said if len(said) <= most else f"{CUT.strip()} {said[-most:]}",
        a=shown(first, most),
        b=shown(second, most),
    )


def shown(text: str, most: int) -> str:
    """A text up to so many characters.

    >>> shown("too long", 3)
    'too [...]'
    """
    return text if len(text) <= most else text[:most] + CUT


def model_of(params: ChatJudgeParams) -> Model:
    """The model that parameters name, loaded when it is first asked."""
    if params.endpoint is not None:
        return EndpointModel(params.endpoint)
    return LocalModel(str(params.model), params.dtype)


def asked(likely: Mapping[str, float], least: float = _LEAST) -> Asked:
    """From probabilities of tokens; of a letter that is not among them no more is known than ``least``.

    >>> round(asked({"A": 0.6, " A": 0.2, "B": 0.2}).mass, 3)
    1.0
    """
    a, b = (sum(p for token, p in likely.items() if token.strip(_MARKS) == x) for x in LETTERS)
    if a + b == 0.0:
        return Asked(0.0, 0.0)
    return Asked(float(np.log(max(a, least)) - np.log(max(b, least))), float(a + b))


class EndpointModel:
    """A model behind an OpenAI-compatible server that tells log-probabilities."""

    def __init__(self, endpoint: EndpointParams) -> None:
        self.identity = f"{endpoint.url} {endpoint.model}"
        self._endpoint = endpoint

    def ask(self, questions: Sequence[str], description: str) -> Iterator[tuple[int, Asked]]:
        """What it makes of each question, several at once; the first alone, so that what is wrong is told once.

        Raises:
            InputError: the server fails, tells no log-probabilities, or withholds what it says.
        """
        if questions:
            yield 0, self._ask(questions[0])
        over = Event()
        with ThreadPoolExecutor(self._endpoint.at_once) as pool:
            jobs = {pool.submit(self._ask, text, over): i for i, text in enumerate(questions) if i}
            try:
                for job in track(as_completed(jobs), description, len(jobs)):
                    yield jobs[job], job.result()
            finally:
                over.set()
                pool.shutdown(wait=False, cancel_futures=True)

    def _ask(self, text: str, over: Event | None = None) -> Asked:
        message = {"role": "user", "content": text}
        about = f"asked about {_beginning(text)!r}"
        try:
            (reply,) = chat(
                self._endpoint,
                [message],
                max_tokens=1,
                temperature=0.0,
                top_logprobs=TOP,
                over=over,
            )
        except InputError as error:
            needed = f"; {NEEDED}" if "logprobs" in str(error) else ""
            raise InputError(f"{error}{needed}; {about}") from None
        if reply.filtered:
            raise InputError(
                f"a filter of the endpoint {self._endpoint.url}, model {self._endpoint.model!r}, withholds what it says, "
                f"{about}: leave that prompt out, or use a server without this filter"
            )
        if not reply.tokens or not reply.tokens[0]:
            raise InputError(
                f"the endpoint {self._endpoint.url}, model {self._endpoint.model!r}, tells no log-probabilities "
                f"(`logprobs` and `top_logprobs` of chat completions): {NEEDED}"
            )
        likely = {token: float(np.exp(p)) for token, p in reply.tokens[0].items()}
        total = sum(likely.values())
        if total > MOST_MASS:
            raise InputError(
                f"the endpoint {self._endpoint.url}, model {self._endpoint.model!r}, tells log-probabilities whose "
                f"probabilities sum to {total:.3g}: they are none, and a judge rests on them"
            )
        return asked(likely, max(min(*likely.values(), 1.0 - total), _LEAST))


def _beginning(text: str) -> str:
    """Where the conversation of a question begins, for people to find it by."""
    said = text.partition("[Conversation]\n")[2].rpartition("\n\n[Answer A]\n")[0]
    return " ".join(said.split())[:60]


class LocalModel:
    """A causal language model on this machine."""

    def __init__(self, spec: str, dtype: str) -> None:
        from mopo_pipeline.language.places import materialise

        self._path, self._dtype = str(materialise(spec)), dtype
        self._loaded: Any = None
        self.identity = f"{_digest(self._path)} {dtype}"

    def ask(self, questions: Sequence[str], description: str) -> Iterator[tuple[int, Asked]]:
        """What it makes of each question, longest first in batches of similar length.

        Raises:
            InputError: it is no model, or a question does not fit into its context.
        """
        import torch

        from mopo_pipeline.language.loading import load_model
        from mopo_pipeline.language.logprobs import length_batches
        from mopo_pipeline.language.tokens import prompt_ids

        self._loaded = self._loaded or load_model(self._path, dtype=self._dtype)
        model, tokenizer = self._loaded
        ids = prompt_ids(tokenizer, [chat_prompt(text) for text in questions])
        lengths = np.array([len(row) for row in ids])
        _check_room(self._path, model, int(lengths.max(initial=0)))
        a, b = (letter_ids(tokenizer, letter) for letter in LETTERS)
        batches = length_batches(lengths, np.arange(len(ids)), BATCH_TOKENS)
        for batch in track(batches, description):
            with torch.inference_mode():
                likely = _next_token(model, [ids[i] for i in batch], int(tokenizer.pad_token_id))
            for i, row in zip(batch, likely, strict=True):
                yield int(i), asked({"A": float(row[a].sum()), "B": float(row[b].sum())})


def letter_ids(tokenizer: "PreTrainedTokenizerBase", letter: str) -> list[int]:
    """Every token that is the letter, white space around it or not.

    Raises:
        InputError: there is none.
    """
    found = [i for token, i in tokenizer.get_vocab().items() if token.strip(_MARKS) == letter]
    if not found:
        raise InputError(
            f"the tokenizer of the chat judge has no token {letter!r}, and cannot answer with one letter: choose another "
            "model"
        )
    return sorted(found)


def _next_token(model: Any, prompts: list[list[int]], pad: int) -> Array:
    """Probabilities (b, V) of the token after each prompt."""
    import torch

    last = [len(ids) - 1 for ids in prompts]
    places = sorted(set(last))
    width = places[-1] + 1
    ids = torch.tensor([[*row, *[pad] * (width - len(row))] for row in prompts])
    mask = torch.arange(width) <= torch.tensor(last)[:, None]
    logits = model(
        input_ids=ids.to(model.device),
        attention_mask=mask.long().to(model.device),
        logits_to_keep=torch.tensor(places, device=model.device),
        use_cache=False,
    ).logits
    own = torch.tensor([places.index(end) for end in last])
    likely = logits[torch.arange(len(prompts)), own].double().softmax(dim=-1)
    return np.asarray(likely.cpu().numpy())


def _check_room(name: str, model: Any, longest: int) -> None:
    from mopo_pipeline.language.lengths import model_limit

    limit = model_limit(model.config.get_text_config())
    if limit is not None and longest > limit:
        raise InputError(
            f"the chat judge {name} reads {limit} tokens and a question takes {longest}: lower max_characters, or choose "
            "a model of a longer context"
        )


def _digest(path: str) -> str:
    """What tells a model from another: its content, or its hub id and revision."""
    from pathlib import Path

    from mopo_pipeline.language.loading import model_digest

    if Path(path).is_dir():
        return model_digest(Path(path))
    from transformers import AutoConfig

    try:
        revision = getattr(
            AutoConfig.from_pretrained(path, trust_remote_code=False), "_commit_hash", ""
        )
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{path} is no model that can be read here: {str(error).splitlines()[0]}"
        ) from error
    return f"{path} {revision}"
