"""What turns gradients into updates: Muon for the matrices inside the blocks, AdamW for the rest, or AdamW for all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn

from engine.errors import TrainingError
from engine.training.precision import Chosen
from engine.training.settings import TrainingSettings

if TYPE_CHECKING:
    from engine.training.model import Decoder

BETAS = (0.9, 0.95)
"""Of AdamW, as GPT-3 (Brown et al. 2020)."""

WIDTH_TIMES_RATE = 0.384
"""AdamW's default rate is this over the width: 0.003 at 128, 0.0005 at 768. That the best rate falls as 1 / width is
Yang et al. 2022; the factor is chosen by us on the language reference."""


STEPS = 5
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic that drives all singular values towards 1 (Jordan et al. 2024)."""


class WideMuon(torch.optim.Muon):
    """torch's Muon with the matrix iteration in the gradient's own type instead of bf16.

    On processors without bf16 products torch's is many times slower, and its rounding turns a difference in the last
    bit of a gradient into one of 0.4 %: two processes would then not learn what one does.
    """

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """One update; the same formula as torch's."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["momentum_buffer"] = torch.zeros_like(parameter.grad)
                momentum = state["momentum_buffer"].lerp_(parameter.grad, 1 - group["momentum"])
                direction = orthogonal_factor(parameter.grad.lerp(momentum, group["momentum"]))
                rows, columns = parameter.shape
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(direction, alpha=-group["lr"] * max(1, rows / columns) ** 0.5)


def orthogonal_factor(matrix: torch.Tensor) -> torch.Tensor:
    """Nearly U Vᵀ of the matrix U S Vᵀ: singular values between some 0.7 and 1.2, by five Newton-Schulz steps.

    Args: matrix: (rows, columns), float. Returns: the same shape and type; zeros for zeros.
    Source: Jordan et al. 2024.
    """
    a, b, c = COEFFICIENTS
    is_tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if is_tall else matrix
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(STEPS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if is_tall else x


def default_rate(width: int) -> float:
    """AdamW's highest rate where the settings name none."""
    return WIDTH_TIMES_RATE / width


def optimizers_for(
    model: Decoder, settings: TrainingSettings, precision: Chosen = "fp32"
) -> list[torch.optim.Optimizer]:
    """The optimizers of one training; each group remembers its highest rate as "highest".

    Muon (torch's own where products are bf16, else `WideMuon`) takes the orthogonal factor of momentum as the update,
    of query, key, value, output, gate, up and down matrices each by itself: side by side, they would be mixed. AdamW
    is fused: one pass over the numbers, each by itself, so the same bits for the same number of threads.

    Raises: TrainingError for an optimizer that does not exist, or a rate below 0.
    Source: Jordan et al. 2024 (Muon); Loshchilov & Hutter 2019 (AdamW).
    """
    if settings.learning_rate < 0 or settings.muon_rate < 0:
        raise TrainingError(
            f"Learning rates cannot be negative, got {settings.learning_rate} and {settings.muon_rate}.",
            "Choose 0 for a default, or a small number such as 0.001.",
        )
    rate = settings.learning_rate or default_rate(model.settings.width)
    if settings.optimizer == "adamw":
        made = [adamw(list(model.parameters()), rate, settings.weight_decay)]
    elif settings.optimizer == "muon":
        kind = torch.optim.Muon if precision == "bf16" else WideMuon
        muon = kind(model.hidden_matrices(), lr=settings.muon_rate, weight_decay=settings.weight_decay)
        made = [adamw(model.other_parameters(), rate, settings.weight_decay), muon]
    else:
        raise TrainingError(f"There is no optimizer {settings.optimizer!r}.", "Choose one of: adamw, muon.")
    for group in groups(made):
        group["highest"] = group["lr"]
    return made


def adamw(parameters: Sequence[nn.Parameter], rate: float, weight_decay: float) -> torch.optim.AdamW:
    """AdamW that decays matrices and lets norms and biases be."""
    matrices = [parameter for parameter in parameters if parameter.ndim >= 2]
    vectors = [parameter for parameter in parameters if parameter.ndim < 2]
    parts = [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW([part for part in parts if part["params"]], lr=rate, betas=BETAS, fused=True)


def groups(optimizers: Sequence[torch.optim.Optimizer]) -> list[dict]:
    """The parameter groups of all optimizers."""
    return [group for optimizer in optimizers for group in optimizer.param_groups]


def set_rates(optimizers: Sequence[torch.optim.Optimizer], share: float) -> float:
    """Give every group this share of its highest rate. Returns: the first group's rate (AdamW's)."""
    for group in groups(optimizers):
        group["lr"] = share * group["highest"]
    return groups(optimizers)[0]["lr"]


def optimizer_tensors(model: nn.Module, optimizers: Sequence[torch.optim.Optimizer]) -> dict[str, torch.Tensor]:
    """What the optimizers remember, named "<kind>/<parameter>/<what>", such as "muon/layers.0…/momentum_buffer".

    Rates and the like are not in it: they follow from settings and step.
    """
    names = {parameter: name for name, parameter in model.named_parameters()}
    return {
        f"{_kind(optimizer)}/{names[parameter]}/{what}": tensor
        for optimizer in optimizers
        for parameter, state in optimizer.state.items()
        for what, tensor in state.items()
    }


def restore_optimizers(
    model: nn.Module, optimizers: Sequence[torch.optim.Optimizer], tensors: dict[str, torch.Tensor]
) -> None:
    """Give fresh optimizers of the same settings what `optimizer_tensors` took; nothing if that was before any update.

    Raises: TrainingError if a tensor is missing or has another shape.
    """
    if not tensors:
        return
    names = {parameter: name for name, parameter in model.named_parameters()}
    for optimizer in optimizers:
        known = optimizer.state_dict()
        ordered = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        states = {}
        for index, parameter in enumerate(ordered):
            prefix = f"{_kind(optimizer)}/{names[parameter]}/"
            state = {
                name.removeprefix(prefix): each.clone() for name, each in tensors.items() if name.startswith(prefix)
            }
            _check(prefix, parameter, state)
            states[index] = state
        optimizer.load_state_dict({"state": states, "param_groups": known["param_groups"]})


def _kind(optimizer: torch.optim.Optimizer) -> str:
    return "muon" if isinstance(optimizer, torch.optim.Muon) else "adamw"


def _check(prefix: str, parameter: nn.Parameter, state: dict[str, torch.Tensor]) -> None:
    shapes = {what: tuple(tensor.shape) for what, tensor in state.items() if what != "step"}
    if not shapes or set(shapes.values()) != {tuple(parameter.shape)}:
        raise TrainingError(
            f"The checkpoint's optimizer state {prefix}… has shapes {shapes}, expected {tuple(parameter.shape)}.",
            "It belongs to another model or optimizer: start a new training from its weights.",
        )
