"""Learning from rewards: the log-probabilities of what was written, the loss whose gradient raises good samples, and
the leash to a frozen reference.

Samples are scored as the token ids that were drawn; nothing is decoded and encoded again. All log-probabilities are
those of the distribution that was sampled from, softmax(logits / temperature), of the policy and of the reference
alike. One update is made of each batch, so the policy that drew a sample is the one whose gradient is taken: there is
no ratio to old log-probabilities to correct by, and nothing to clip.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch.utils.checkpoint import checkpoint

from engine.training.model import Decoder

CHUNK = 512
"""Tokens whose logits exist at once, as in the cross-entropy of training."""

TOKENS_AT_ONCE = 4096
"""Tokens whose hidden states exist at once, for the gradient of all layers. Chosen by us: an update of the default
settings in one part."""

KL_GAIN = 0.5
"""How fast the coefficient of the leash follows. Chosen by us, see LOG.md: a run has some hundred updates. With the 0.1
of Ziegler et al. 2019, who make tens of thousands, the KL is far beyond its target before the coefficient has doubled;
with 1 the two swing."""

KL_ERROR = 0.2
"""Where the relative error is cut (Ziegler et al. 2019): the coefficient changes by a tenth an update at the most."""

KL_RANGE = 100.0
"""The coefficient stays within this factor of where it began, so that a long calm does not unlearn the leash and a
long storm does not freeze the model. Chosen by us."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """Prompts and what was written after them, one sample a row, padded on the right.

    Attributes:
        ids: (rows, tokens) int64. is_written: (rows, tokens) bool; whether the model drew this token, END_OF_TEXT
            included; False for the prompt and for padding.
    """

    ids: torch.Tensor
    is_written: torch.Tensor

    @property
    def num_written(self) -> int:
        """Tokens that were drawn."""
        return int(self.is_written.sum())

    def parts(self) -> Iterator[tuple[Rollout, slice]]:
        """Whole samples of about TOKENS_AT_ONCE together, and where their drawn tokens stand among all."""
        rows = max(TOKENS_AT_ONCE // self.ids.shape[1], 1)
        place = 0
        for start in range(0, len(self.ids), rows):
            part = Rollout(self.ids[start : start + rows], self.is_written[start : start + rows])
            yield part, slice(place, place + part.num_written)
            place += part.num_written


def rollout(prompts: Sequence[Sequence[int]], written: Sequence[Sequence[int]], device: str = "cpu") -> Rollout:
    """Lay each prompt and what was drawn after it into a row. A prompt has at least one token."""
    width = max(len(prompt) + len(tokens) for prompt, tokens in zip(prompts, written, strict=True))
    ids = torch.zeros((len(prompts), width), dtype=torch.int64)
    is_written = torch.zeros((len(prompts), width), dtype=torch.bool)
    for row, (prompt, tokens) in enumerate(zip(prompts, written, strict=True)):
        start, stop = len(prompt), len(prompt) + len(tokens)
        ids[row, :stop] = torch.tensor([*prompt, *tokens], dtype=torch.int64)
        is_written[row, start:stop] = True
    return Rollout(ids.to(device), is_written.to(device))


def written_log_probs(model: Decoder, samples: Rollout, temperature: float) -> tuple[torch.Tensor, torch.Tensor]:
    """ln p of every drawn token under softmax(logits / temperature), and the entropy of the distribution it came from.

    Only drawn tokens pass the output head, CHUNK at a time, and their logits are computed again for the gradient.

    Returns: two (num_written,) tensors in fp32, row after row, in nats; gradients flow into the first only.
    """
    hidden = model.hidden(samples.ids[:, :-1])[samples.is_written[:, 1:]]  # (num_written, width)
    targets = samples.ids[samples.is_written]
    parts = [
        checkpoint(_log_probs, hidden[rows], model.head, targets[rows], temperature, use_reentrant=False)
        for rows in (slice(start, start + CHUNK) for start in range(0, len(targets), CHUNK))
    ]
    log_probs, entropies = zip(*parts, strict=True) if parts else ([hidden.new_zeros(0)], [hidden.new_zeros(0)])
    return torch.cat(log_probs), torch.cat(entropies)


@torch.no_grad()
def log_probs_in_parts(model: Decoder, samples: Rollout, temperature: float) -> tuple[torch.Tensor, torch.Tensor]:
    """`written_log_probs` without gradients, a bounded number of tokens at a time."""
    parts = [written_log_probs(model, part, temperature) for part, _ in samples.parts()]
    return torch.cat([log_probs for log_probs, _ in parts]), torch.cat([entropies for _, entropies in parts])


def _log_probs(hidden, head, targets, temperature) -> tuple[torch.Tensor, torch.Tensor]:
    logits = (hidden @ head.to(hidden.dtype).t()).float() / temperature  # (chunk, vocabulary)
    log_sums = logits.logsumexp(dim=-1)
    with torch.no_grad():
        entropies = log_sums - (logits - log_sums[:, None]).exp().mul_(logits).sum(dim=-1)
    return logits.gather(1, targets[:, None])[:, 0] - log_sums, entropies


def policy_loss(
    log_probs: torch.Tensor,
    advantages: torch.Tensor,
    reference_log_probs: torch.Tensor,
    kl_coefficient: float,
) -> torch.Tensor:
    """−Σ (advantage − β ln(π / reference)) · ln π, the bracket held constant; descending it raises the reward.

    The gradient of the first term is REINFORCE (Williams 1992). That of the second is, in expectation over the drawn
    token, β times the gradient of KL(π ‖ reference) of that token's distribution; differentiating the estimator
    `kl_estimate` instead would give the gradient of another divergence, KL(reference ‖ π) (Tang & Munos 2025).

    Args: all (num_written,): ln π with gradients; the advantage of the sample each token belongs to; ln p of the
        reference. kl_coefficient: β, in units of advantage a nat.
    Returns: the sum over tokens. Divide by a constant of the batch, not by each sample's length: that would favour
        short good samples and long bad ones (Liu et al. 2025).
    """
    weights = advantages - kl_coefficient * (log_probs.detach() - reference_log_probs)
    return -(weights * log_probs).sum()


def kl_estimate(log_probs: torch.Tensor, reference_log_probs: torch.Tensor) -> torch.Tensor:
    """r − 1 − ln r with r = reference / π, for tokens drawn from π: its mean is KL(π ‖ reference), and it is never < 0.

    Far from the reference, where r is nearly 0 but for tokens too rare to be drawn, the mean of a batch is some 1 nat
    too low; it is then still far above any target.

    Returns: nats, in the shape of the arguments; +∞ where the reference is so much likelier that r overflows.
    Source: Schulman 2020, "Approximating KL divergence" (k3).
    """
    log_ratio = reference_log_probs - log_probs
    return torch.expm1(log_ratio) - log_ratio


def next_kl_coefficient(coefficient: float, kl: float, target: float, initial: float) -> float:
    """β · (1 + 0.5 · clip(kl / target − 1, ±0.2)): a longer leash while the KL is small, a shorter one when large.

    Args: kl: nats a token of the last batch. target: the KL to hold; 0 keeps β. initial: β at the beginning; β stays
        within a factor of KL_RANGE of it, and 0 stays 0.
    Source: Ziegler et al. 2019, section 2.2; gain and bounds are ours.
    """
    if not target:
        return coefficient
    error = min(max(kl / target - 1, -KL_ERROR), KL_ERROR)
    return min(max(coefficient * (1 + KL_GAIN * error), initial / KL_RANGE), initial * KL_RANGE)
