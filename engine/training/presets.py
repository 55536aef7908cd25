"""Three sizes to begin with: a model, and how it learns.

"quick" was chosen on the language reference (95,000 tokens of training text): perplexity of validation text falls below
60 after 400 steps and to 43 after 800 with dropout 0.2; with 0.1 it turns upwards at 49. AdamW needs some 500 steps to
60 and ends at 45. The other two are Llama's proportions at their size, not tuned.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.training.settings import ModelSettings, TrainingSettings


@dataclass(frozen=True, slots=True)
class Preset:
    """A beginning that works.

    Attributes:
        name: "quick", "standard" or "quality". summary: in plain words, for whom it is.
        model, training: the settings; each may be changed before anything is made.
        least_parameters, most_parameters: the range that the preset stays in with vocabularies of usual size.
    """

    name: str
    summary: str
    model: ModelSettings
    training: TrainingSettings
    least_parameters: int
    most_parameters: int


PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset(
            "quick",
            "Minutes on a laptop: learns the words and habits of one book.",
            ModelSettings(vocabulary_size=2048, width=192, layers=4, heads=6, context=256, dropout=0.2),
            TrainingSettings(steps=1000, batch_size=8),
            2_000_000,
            5_000_000,
        ),
        Preset(
            "standard",
            "An hour or a night on a desktop: several books, whole sentences.",
            ModelSettings(vocabulary_size=8192, width=384, layers=8, heads=6, context=512, dropout=0.1),
            TrainingSettings(steps=5000, batch_size=32, accumulation=4, evaluate_every=250, save_every=250),
            10_000_000,
            30_000_000,
        ),
        Preset(
            "quality",
            "Hours on a graphics processor: large bodies of text.",
            ModelSettings(vocabulary_size=16384, width=768, layers=12, heads=12, context=1024),
            TrainingSettings(steps=20000, batch_size=64, accumulation=16, evaluate_every=500, save_every=500),
            50_000_000,
            200_000_000,
        ),
    )
}
