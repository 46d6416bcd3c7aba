"""Two processes that hold a part of a model each (FSDP2) draw what one that holds all of it draws."""

import torch
from torch import distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from transformers import LlamaConfig, LlamaForCausalLM

from mopo_pipeline.language.generation import sample_responses
from mopo_pipeline.language.processes import sharded
from mopo_pipeline.tables import chat_prompt
from tiny_tokenizers import chatml_tokenizer

ASKED = [chat_prompt("how do you do"), chat_prompt("why")]
DECODING = {"n": 4, "max_new_tokens": 8, "seed": 3, "batch_size": 8}


def main() -> None:
    distributed.init_process_group("gloo")
    tokenizer = chatml_tokenizer()
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=2, initializer_range=0.3,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    model.generation_config.eos_token_id = list(range(250, 400))
    alone = sample_responses(model, tokenizer, ASKED, **DECODING)
    mesh = init_device_mesh("cpu", (2,))
    for layer in model.model.layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    assert sharded(model)
    together = sample_responses(model, tokenizer, ASKED, **DECODING)
    assert together == alone, (together, alone)
    distributed.barrier()
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
