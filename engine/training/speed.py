"""How fast a training will be here, from two seconds of it."""

from __future__ import annotations

import statistics
import time

import torch

from engine.training.determinism import reproducible
from engine.training.distributed import joined
from engine.training.footprint import Speed, completed
from engine.training.model import Decoder
from engine.training.optimizers import optimizers_for
from engine.training.precision import Chosen, chosen_precision, computing
from engine.training.settings import ModelSettings, TrainingSettings

_FIRST_TOKENS = 64


def probe(settings: ModelSettings, training: TrainingSettings, probe_s: float) -> Speed:
    """See `engine.training.footprint.tokens_per_s`.

    It works in parts of a batch that fit into the time; a model so large that not even one sequence does is timed on
    the beginning of one.
    """
    started = time.perf_counter()
    with joined(training.device) as world, reproducible(0, training.threads, world.device):
        model = Decoder(settings).to(world.device).train()
        optimizers = optimizers_for(model, training)
        ids = _random_tokens(completed(settings), training, world.device)
        ids = _fitting(model, ids, probe_s)
        some = ids[: max(len(ids) // 4, 1)]
        precision = chosen_precision(training.precision, model, some, some)
        passes, updates = [], []
        end = time.perf_counter() + probe_s / 2
        while not updates or time.perf_counter() < end:
            passes.append(_pass_s(model, ids, precision))
            updates.append(_update_s(optimizers, ids.device))
        passes, updates = passes[len(passes) > 1 :], updates[len(updates) > 1 :]  # the first pays for growing memory
    batch_tokens = training.batch_size * completed(settings).context
    update_s = statistics.median(passes) / ids.numel() * batch_tokens + statistics.median(updates)
    return Speed(batch_tokens / update_s, precision, world.device, time.perf_counter() - started)


def _random_tokens(shape: ModelSettings, training: TrainingSettings, device: str) -> torch.Tensor:
    sequences = -(-training.batch_size // max(training.accumulation, 1))
    return torch.randint(shape.vocabulary_size, (sequences, shape.context), device=device)


def _fitting(model: Decoder, ids: torch.Tensor, probe_s: float) -> torch.Tensor:
    """So many whole sequences that a pass takes an eighth of the probe, at least one; or else the beginning of one."""
    few = ids[:1, :_FIRST_TOKENS]
    _pass_s(model, few, "fp32")
    one_s = min(_pass_s(model, few, "fp32") for _ in range(2)) / few.numel() * ids.shape[1]
    if one_s > probe_s / 2:
        tokens = int(ids.shape[1] * probe_s / 2 / one_s)
        return ids[:1, : max(tokens, few.shape[1])]
    one_s = min(one_s, _pass_s(model, ids[:1], "fp32"))  # few tokens are slow: most of their time is not arithmetic
    return ids[: max(int(probe_s / 8 / one_s), 1)]


def _pass_s(model: Decoder, ids: torch.Tensor, precision: Chosen) -> float:
    started = time.perf_counter()
    with computing(precision, ids.device.type):
        loss = model(ids, ids)
    loss.backward()
    _finish(ids.device)
    return time.perf_counter() - started


def _update_s(optimizers: list[torch.optim.Optimizer], device: torch.device) -> float:
    started = time.perf_counter()
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad()
    _finish(device)
    return time.perf_counter() - started


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
