"""Suggestions: each finding is turned into an idea for compression, with its evidence and the gain to expect."""

from engine.discovery.suggestions.facts import BitFacts, ModelFacts, Relative, Spectrum, TensorFacts
from engine.discovery.suggestions.registry import PRICES, all_ideas, ideas_version, suggestions
from engine.discovery.suggestions.suggestion import Suggestion, TensorGain

__all__ = [
    "PRICES",
    "BitFacts",
    "ModelFacts",
    "Relative",
    "Spectrum",
    "Suggestion",
    "TensorFacts",
    "TensorGain",
    "all_ideas",
    "ideas_version",
    "suggestions",
]
