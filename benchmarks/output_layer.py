"""Peak memory and processor time of one training step over a vocabulary of 128 thousand, logits at once and in parts.

One layer, 64 wide, of random weights, so that the output layer is nearly all there is; 8 rows of 320 tokens of which 256 are
scored, as docs/scaling.md has them. Each way runs in a process of its own. Run: ``make bench-output-layer`` (half a minute).
The last line holds memory and time in parts over those at once.
"""

import json
import resource
import subprocess
import sys
import time

VOCABULARY, WIDTH, ROWS, PROMPT, ANSWER = 128_256, 64, 8, 64, 256


def step(at_once: bool) -> dict[str, float]:
    """Bytes above what was there before a step, its processor seconds and its loss."""
    import numpy as np
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from mopo_pipeline.language import output_layer
    from mopo_pipeline.language.forward import response_logprobs
    from mopo_pipeline.language.packing import pack
    from mopo_pipeline.language.tokens import EncodedRows
    from mopo_pipeline.training.loss import weighted_nll

    if at_once:
        output_layer.MOST = sys.maxsize
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=1,
        num_attention_heads=2,
        tie_word_embeddings=True,
    )
    model = LlamaForCausalLM(config)
    rng = np.random.default_rng(0)
    ids = rng.integers(0, VOCABULARY, size=(ROWS, PROMPT + ANSWER)).tolist()
    cut = np.zeros(ROWS, dtype=bool)
    rows = EncodedRows(ids, np.full(ROWS, PROMPT), cut, 0, np.arange(ROWS))
    packed = pack(rows, [np.array([row]) for row in range(ROWS)])
    before, start = peak(), time.process_time()
    loss = weighted_nll(response_logprobs(model, packed), torch.ones(ROWS), ANSWER).mean()
    loss.backward()
    spent = time.process_time() - start
    return {"bytes": peak() - before, "seconds": spent, "loss": loss.item()}


def peak() -> int:
    """Bytes this process has held at most."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def alone(way: str) -> dict[str, float]:
    """What a step takes in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, way], check=True, capture_output=True, text=True
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Both ways, and their ratios."""
    if len(sys.argv) > 1:
        print(json.dumps(step(sys.argv[1] == "at_once")))
        return
    whole, parts = alone("at_once"), alone("in_parts")
    for name, one in {"at once": whole, "in parts": parts}.items():
        print(
            f"{name}: {one['bytes'] / 1e9:.2f} GB, {one['seconds']:.1f} s, loss {one['loss']:.6f}"
        )
    print(
        f"ratio: output_layer_memory={parts['bytes'] / whole['bytes']:.2f} "
        f"output_layer_time={parts['seconds'] / whole['seconds']:.2f}"
    )


if __name__ == "__main__":
    main()
