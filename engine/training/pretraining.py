"""Learning to predict the next token: AdamW, warm-up and cosine, dropout, and the best step by held-out text."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch.nn import functional
from transformers import LlamaForCausalLM

from engine.errors import TrainingError
from engine.training.held_out import HeldOutLoss


@dataclass(frozen=True, slots=True)
class PretrainingSettings:
    """How to train. Defaults chosen by us on the validation text of the language reference, see the model card.

    Attributes:
        steps: updates at the most; the learning rate reaches its end there.
        batch_size: windows a step, each of `context` tokens, drawn anywhere in the training text.
        learning_rate: highest, after `warmup_steps` of linear rise; falls along a cosine to `final_share` of it.
        weight_decay: of matrices only, as AdamW has it. max_norm: gradients longer than this are shortened to it.
        dropout: share of each embedding and block output set to zero while training.
        evaluate_every: steps between looks at the validation text. patience: looks in a row without gain that end it.
        threads: of torch; a different number may round sums differently, so results repeat only at the same number.
        seed: draws windows and dropout.
    """

    steps: int = 1500
    batch_size: int = 4
    context: int = 256
    learning_rate: float = 3e-3
    warmup_steps: int = 100
    final_share: float = 0.05
    weight_decay: float = 0.1
    max_norm: float = 1.0
    dropout: float = 0.2
    evaluate_every: int = 100
    patience: int = 5
    threads: int = 2
    seed: int = 0


@dataclass(frozen=True, slots=True)
class PretrainingProgress:
    """One finished step.

    Attributes:
        step: from 1. steps: at the most. loss: of this step's batch, nats per token, with dropout.
        tokens_per_s: since the start, validation included. left_s: seconds until the last step at that rate.
        validation: at steps where it was looked at, else None.
    """

    step: int
    steps: int
    loss: float
    tokens_per_s: float
    left_s: float
    validation: HeldOutLoss | None


@dataclass(frozen=True, slots=True)
class PretrainingResult:
    """How the training went.

    Attributes:
        best_step: the step whose weights the model now has; 0 if training never helped.
        steps: done. validation: of the best step. elapsed_s: of the whole training.
    """

    best_step: int
    steps: int
    validation: HeldOutLoss
    elapsed_s: float


def learning_rate(step: int, settings: PretrainingSettings) -> float:
    """The rate of update number `step` (from 0): a linear rise, then a cosine down to its `final_share` at the end."""
    if step < settings.warmup_steps:
        return settings.learning_rate * (step + 1) / settings.warmup_steps
    done = (step - settings.warmup_steps) / max(settings.steps - 1 - settings.warmup_steps, 1)
    share = settings.final_share + (1 - settings.final_share) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
    return settings.learning_rate * share


def pretrain(
    model: LlamaForCausalLM,
    tokens: torch.Tensor,
    validate: Callable[[LlamaForCausalLM], HeldOutLoss],
    settings: PretrainingSettings,
    on_progress: Callable[[PretrainingProgress], None] | None = None,
) -> PretrainingResult:
    """Train the model in place and leave it with the weights of the step that did best on the validation text.

    Equal arguments give equal weights to the last bit, on the same machine type, torch and number of threads.

    Args:
        model: in fp32. tokens: the training text, shape (tokens,), int64, longer than the context.
        validate: prices the validation text; called in the same thread every `evaluate_every` steps and at the last.
        on_progress: told of every step; may raise (such as Cancelled) to stop, and the model is then as it was left.
    Raises: TrainingError if the text is too short or the loss is no longer a number.
    """
    if len(tokens) <= settings.context:
        raise TrainingError(
            f"The training text has {len(tokens)} tokens; one window of {settings.context} needs more.",
            "Add text, or choose a shorter context.",
        )
    optimizer = _optimizer(model, settings)
    best_step, waited = 0, 0
    start_s = time.monotonic()
    with reproducible(settings.seed, settings.threads), _dropout(model, settings.dropout):
        best, best_weights = validate(model), _copy(model)
        for step in range(1, settings.steps + 1):
            loss = _update(model, optimizer, tokens, step, settings)
            validation = None
            if step % settings.evaluate_every == 0 or step == settings.steps:
                validation = validate(model)
                waited += 1
                if validation.nats < best.nats:
                    best, best_weights, best_step, waited = validation, _copy(model), step, 0
            if on_progress:
                on_progress(_progress(step, loss, validation, time.monotonic() - start_s, settings))
            if waited >= settings.patience:
                break
    model.load_state_dict(best_weights)
    model.eval()
    return PretrainingResult(best_step, step, best, time.monotonic() - start_s)


def _optimizer(model: LlamaForCausalLM, settings: PretrainingSettings) -> torch.optim.AdamW:
    """AdamW that lets norms and biases be; betas as GPT-3 (Brown et al. 2020)."""
    matrices = [parameter for parameter in model.parameters() if parameter.ndim >= 2]
    vectors = [parameter for parameter in model.parameters() if parameter.ndim < 2]
    groups = [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.95), fused=True)


def _update(
    model: LlamaForCausalLM,
    optimizer: torch.optim.AdamW,
    tokens: torch.Tensor,
    step: int,
    settings: PretrainingSettings,
) -> float:
    """One step on windows drawn anywhere in the text; returns its loss in nats per token."""
    model.train()
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(step - 1, settings)
    starts = torch.randint(len(tokens) - settings.context, (settings.batch_size, 1))
    windows = tokens[starts + torch.arange(settings.context + 1)]  # (batch, context + 1)
    logits = model(input_ids=windows[:, :-1], use_cache=False).logits  # (batch, context, vocabulary)
    loss = functional.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten())
    if not math.isfinite(loss.item()):
        raise TrainingError(
            f"The loss of step {step} is {loss.item()}: training has diverged.",
            "Lower the learning rate or lengthen the warm-up.",
        )
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), settings.max_norm)
    optimizer.step()
    return loss.item()


def _progress(
    step: int, loss: float, validation: HeldOutLoss | None, elapsed_s: float, settings: PretrainingSettings
) -> PretrainingProgress:
    tokens_per_s = step * settings.batch_size * settings.context / elapsed_s
    left_s = elapsed_s / step * (settings.steps - step)
    return PretrainingProgress(step, settings.steps, loss, tokens_per_s, left_s, validation)


def _copy(model: LlamaForCausalLM) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


@contextlib.contextmanager
def reproducible(seed: int, threads: int) -> Iterator[None]:
    """Random numbers from the seed, a fixed number of threads, only repeatable kernels; all put back afterwards."""
    threads_before, was_deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(True)
        try:
            yield
        finally:
            torch.set_num_threads(threads_before)
            torch.use_deterministic_algorithms(was_deterministic)


@contextlib.contextmanager
def _dropout(model: LlamaForCausalLM, share: float) -> Iterator[None]:
    """Drop parts of the embedding and of what each attention and feed-forward block adds; Llama's own code has none."""

    def drop(module: torch.nn.Module, inputs: tuple, output: torch.Tensor) -> torch.Tensor:
        return functional.dropout(output, share, training=module.training)

    modules = [model.model.embed_tokens]
    for layer in model.model.layers:
        modules += [layer.self_attn.o_proj, layer.mlp.down_proj]
    hooks = [module.register_forward_hook(drop) for module in modules]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
