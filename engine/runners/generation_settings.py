"""How text is generated: the settings, and presets of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from engine.errors import RunnerError

MAX_ALTERNATIVES = 50


def _check(name: str, value: float, least: float, most: float) -> None:
    if math.isnan(value) or not least <= value <= most:
        raise RunnerError(f"{name} is {value}, expected {least} … {most}.", "Choose a value in that range.")


@dataclass(frozen=True, slots=True)
class GenerationSettings:
    """How the next token is chosen, and when to stop.

    Attributes:
        max_new_tokens: at most so many; the model's context may end earlier.
        temperature: scores are divided by it; 0 always takes the likeliest token, 1 is the model as trained.
        top_k: draw only from the k likeliest; 0 for all.
        top_p: draw only from the likeliest that together hold this probability; 1 for all.
        repetition_penalty: above 1 makes tokens that occurred less likely; 1 for none.
        seed: the same seed gives the same text; None for a new one each time.
        stop: texts that end the generation; they are cut off.
        alternatives: how many of the likeliest tokens to report at each step.
    Raises: RunnerError for values outside their range.
    """

    max_new_tokens: int = 200
    temperature: float = 0.8
    top_k: int = 50
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    seed: int | None = 0
    stop: tuple[str, ...] = ()
    alternatives: int = 5

    def __post_init__(self) -> None:
        _check("max_new_tokens", self.max_new_tokens, 1, 1_000_000)
        _check("temperature", self.temperature, 0, 100)
        _check("top_k", self.top_k, 0, 10_000_000)
        _check("top_p", self.top_p, 0, 1)
        _check("repetition_penalty", self.repetition_penalty, 0.01, 100)
        _check("alternatives", self.alternatives, 0, MAX_ALTERNATIVES)
        if self.seed is not None:
            _check("seed", self.seed, 0, 2**63 - 1)


PRESETS: dict[str, GenerationSettings] = {
    "Exact": GenerationSettings(temperature=0.0, top_k=0),
    "Careful": GenerationSettings(temperature=0.3, top_k=40, top_p=0.9),
    "Balanced": GenerationSettings(temperature=0.8, top_k=50, top_p=0.95),
    "Creative": GenerationSettings(temperature=1.2, top_k=0, top_p=0.95, repetition_penalty=1.05),
    "As trained": GenerationSettings(temperature=1.0, top_k=0),
}
"""Starting points, chosen by us. "Exact" gives the same text each time, "As trained" draws from the raw model."""


def model_settings(generation_config: dict) -> GenerationSettings:
    """What the model's authors recommend in generation_config.json; the defaults where it says nothing or nonsense."""
    settings = GenerationSettings()
    if generation_config.get("do_sample") is False:
        return PRESETS["Exact"]
    for key in ("temperature", "top_k", "top_p", "repetition_penalty"):
        value = generation_config.get(key)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            try:
                settings = replace(settings, **{key: int(value) if key == "top_k" else float(value)})
            except RunnerError:
                continue
    return settings
