"""Tries for some seconds how fast a training is here: `python -m workflows.training_probe JSON` prints JSON."""

from __future__ import annotations

import json
import math
import sys
import time

from engine.errors import WeightscopeError
from engine.training.settings import ModelSettings, SelfPlaySettings, TrainingSettings
from workflows.job_process import share_processors

WRITTEN_TOKENS, MOST_TEXTS = 8, 64


def main(asked: str) -> int:
    """Print tokens_per_s, iteration_s, device and precision; what is wrong goes to stderr."""
    share_processors()
    values = json.loads(asked)
    shape = ModelSettings(**values["model"])
    training = TrainingSettings(**values["training"]) if values["training"] else None
    play = SelfPlaySettings(**values["self_play"]) if values["self_play"] else None
    try:
        print(json.dumps(probed(shape, training, play)))
    except WeightscopeError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def probed(shape: ModelSettings, training: TrainingSettings | None, play: SelfPlaySettings | None) -> dict:
    """Train on random tokens, and write some."""
    from engine.training.footprint import tokens_per_s
    from workflows.training_estimate import PROBE_S

    asked = training or TrainingSettings(precision="fp32", optimizer="adamw", threads=play.threads, device=play.device)
    found = tokens_per_s(shape, asked, PROBE_S)
    iteration_s = _iteration_s(shape, play, found.tokens_per_s) if play else 0.0
    return {
        "tokens_per_s": found.tokens_per_s,
        "iteration_s": iteration_s,
        "device": found.device,
        "precision": found.precision,
    }


def _iteration_s(shape: ModelSettings, play: SelfPlaySettings, rate: float) -> float:
    """About how long one iteration of self-play takes: writing, the reference's look at it, and the update.

    Writing is timed on a few tokens of at most MOST_TEXTS texts. The update learns from prompts and texts at `rate`,
    and the reference's look is a third of that work.
    """
    import torch

    from engine.runners.devices import chosen_device
    from engine.training.determinism import reproducible
    from engine.training.generation import generate
    from engine.training.model import Decoder

    device = chosen_device(play.device)
    texts = play.prompts * play.group
    tried = min(texts, MOST_TEXTS)
    with reproducible(0, play.threads, device), torch.inference_mode():
        model = Decoder(shape).to(device).eval()
        prompts = [[1] * min(play.prompt_tokens, shape.context - WRITTEN_TOKENS)] * tried
        times_s = []
        for _ in range(2):  # the first pays for growing memory
            begin_s = time.perf_counter()
            generate(model, prompts, WRITTEN_TOKENS, seed=0)
            times_s.append(time.perf_counter() - begin_s)
    writing_s = times_s[-1] / WRITTEN_TOKENS * play.new_tokens * math.ceil(texts / tried)
    return writing_s + texts * (play.prompt_tokens + play.new_tokens) * 4 / 3 / rate


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
