"""A small decoder with a word-level tokenizer, for tasks with a closed vocabulary."""

from collections import Counter
from typing import TYPE_CHECKING

from mopo_pipeline.tables import chat_messages

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

PAD, END, UNKNOWN, ANSWER = "<pad>", "<end>", "<unknown>", "<answer>"
TEMPLATE = (
    "{% for m in messages %}{{ m['content'] }} {% endfor %}{% if add_generation_prompt %}"
    + ANSWER
    + "{% endif %}"
)


def build_tokenizer(prompts: list[str], responses: list[str]) -> "PreTrainedTokenizerBase":
    """A tokenizer of the white-space separated words seen, most frequent first."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    counts: Counter[str] = Counter()
    for text in [*responses, *(m["content"] for p in prompts for m in chat_messages(p))]:
        counts.update(text.split())
    words = sorted(counts, key=lambda word: (-counts[word], word))
    vocabulary = {w: i for i, w in enumerate([PAD, END, UNKNOWN, ANSWER, *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        unk_token=UNKNOWN,
        additional_special_tokens=[ANSWER],
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = TEMPLATE
    return fast


def build_model(
    tokenizer: "PreTrainedTokenizerBase",
    *,
    layers: int,
    width: int,
    heads: int,
    max_length: int,
    seed: int,
) -> "PreTrainedModel":
    """A randomly initialised decoder of the given size."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        max_position_embeddings=max_length,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=tokenizer.eos_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(config)
