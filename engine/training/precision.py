"""The float type of the products while training: bf16 where a measurement on this machine finds it faster."""

from __future__ import annotations

import contextlib
import statistics
import time
from typing import TYPE_CHECKING, Literal

import torch

from engine.errors import TrainingError

if TYPE_CHECKING:
    from engine.training.model import Decoder

Chosen = Literal["fp32", "bf16"]

WORTH_IT = 1.1
"""bf16 must be faster by this factor: it rounds every product to 8 bits, and a probe is noisy. Chosen by us."""

PROBE_S = 4.0
"""A probe tries no new round after this."""

_ROUNDS = 5
_MOST_TOKENS = 4096


def computing(precision: Chosen, device: str) -> contextlib.AbstractContextManager:
    """The context of forward passes: autocast to bf16, or nothing. Weights and their updates stay fp32."""
    if precision == "bf16":
        return torch.autocast(torch.device(device).type, dtype=torch.bfloat16)
    return contextlib.nullcontext()


def chosen_precision(wanted: str, model: Decoder, ids: torch.Tensor, targets: torch.Tensor) -> Chosen:
    """What to compute in: as wanted, or for "auto" what is faster here for this very model and length of text.

    The same machine may decide otherwise tomorrow, so a training keeps the answer with its state.

    Args: ids, targets: (rows, tokens), of which the probe takes few rows.
    Raises: TrainingError for a precision that does not exist.
    """
    if wanted in ("fp32", "bf16"):
        return wanted
    if wanted != "auto":
        raise TrainingError(f"There is no precision {wanted!r}.", "Choose one of: auto, fp32, bf16.")
    rows = max(_MOST_TOKENS // ids.shape[1], 1)
    elapsed_s = _probe(model, ids[:rows], targets[:rows])
    return "bf16" if elapsed_s["fp32"] >= WORTH_IT * elapsed_s["bf16"] else "fp32"


def _probe(model: Decoder, ids: torch.Tensor, targets: torch.Tensor) -> dict[Chosen, float]:
    """Median seconds of a forward and a backward pass in each type, taken in turns; gradients are left as they were."""
    device = ids.device
    parameters = list(model.parameters())
    took: dict[Chosen, list[float]] = {"fp32": [], "bf16": []}
    start_s = time.perf_counter()
    for turn in range(_ROUNDS + 1):
        for precision, times in took.items():
            _finish(device)
            before_s = time.perf_counter()
            with computing(precision, str(device)):
                loss = model(ids, targets)
            torch.autograd.grad(loss, parameters)
            _finish(device)
            if turn:  # the first of each pays for compiling kernels and growing memory
                times.append(time.perf_counter() - before_s)
        if turn and time.perf_counter() - start_s > PROBE_S:
            break
    return {precision: statistics.median(times) for precision, times in took.items()}


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
