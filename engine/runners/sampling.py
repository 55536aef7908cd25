"""From a network's scores for the next token to the token: penalty, temperature, top-k, top-p, and a seeded draw."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import RunnerError
from engine.runners.generation_settings import GenerationSettings

if TYPE_CHECKING:
    import torch


def next_token_distribution(
    logits: torch.Tensor, settings: GenerationSettings, seen: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The distribution that the next token is drawn from.

    In the order of transformers: repetition penalty, temperature, top-k, top-p. Where several tokens tie for the last
    place of top-k, this keeps exactly k.

    Args:
        logits: (vocabulary,), float32. settings: its temperature is above 0.
        seen: ids of all tokens so far, prompt included, each once; for the repetition penalty.
    Returns: probabilities (kept,), descending unless nothing was cut, and their token ids (kept,).
    """
    import torch

    logits = penalised(logits, settings.repetition_penalty, seen) / settings.temperature
    vocabulary = logits.shape[0]
    if 0 < settings.top_k < vocabulary:
        logits, ids = torch.topk(logits, settings.top_k)
    elif settings.top_p < 1:
        logits, ids = torch.sort(logits, descending=True)
    else:
        return torch.softmax(logits, 0), torch.arange(vocabulary)
    probabilities = torch.softmax(logits, 0)
    if settings.top_p < 1:
        exact = probabilities.double()
        before = exact.cumsum(0) - exact  # what the likelier tokens hold together
        num_kept = max(int((before < settings.top_p).sum()), 1)
        probabilities, ids = probabilities[:num_kept], ids[:num_kept]
        probabilities = probabilities / probabilities.sum()
    return probabilities, ids


def penalised(logits: torch.Tensor, penalty: float, seen: torch.Tensor) -> torch.Tensor:
    """Scores of tokens that occurred: divided by the penalty if positive, multiplied if negative.

    Source: Keskar et al. 2019, CTRL, arXiv 1909.05858, with the sign rule of transformers.
    """
    import torch

    if penalty == 1 or not len(seen):
        return logits
    scores = logits[seen]
    return logits.index_copy(0, seen, torch.where(scores < 0, scores * penalty, scores / penalty))


class Sampler:
    """Draws tokens; the same seed and the same scores give the same tokens, whatever other threads do."""

    def __init__(self, settings: GenerationSettings, prompt: list[int], vocabulary: int) -> None:
        import torch

        self._settings = settings
        self._generator = torch.Generator()
        if settings.seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(settings.seed)
        self._seen = torch.zeros(vocabulary, dtype=torch.bool)
        self._seen[[token for token in prompt if token < vocabulary]] = True

    def draw(self, logits: torch.Tensor) -> int:
        """The next token: the likeliest at temperature 0, else drawn. `logits`: (vocabulary,), float32, on the CPU.

        Raises: RunnerError if the scores hold NaN, or no finite number at all.
        """
        import torch

        if not torch.isfinite(logits.max()):  # NaN wins every maximum
            raise RunnerError(
                "The network's scores for the next token are not finite.",
                "Measure the checkpoint and look for NaN or Inf, or load it in float32.",
            )
        seen = self._seen.nonzero().squeeze(1) if self._settings.repetition_penalty != 1 else torch.empty(0).long()
        if self._settings.temperature == 0:
            token = int(penalised(logits, self._settings.repetition_penalty, seen).argmax())
        else:
            probabilities, ids = next_token_distribution(logits, self._settings, seen)
            cumulative = probabilities.double().cumsum(0)
            point = torch.rand((), generator=self._generator, dtype=torch.float64) * cumulative[-1]
            place = int(torch.searchsorted(cumulative, point, right=True))
            token = int(ids[min(place, len(ids) - 1)])
        self._seen[token] = True
        return token
