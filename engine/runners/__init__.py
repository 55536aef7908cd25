"""Running models: what a checkpoint can do, and doing it. Importing this imports neither torch nor transformers."""

from engine.runners.abilities import Abilities, abilities_of, tasks_of, tasks_of_config
from engine.runners.contract import TASKS, Answer, Facts, FilledMask, Runner, Scored, Transcript
from engine.runners.generation import GeneratedToken, Speed, speed
from engine.runners.generation_settings import PRESETS, GenerationSettings
from engine.runners.leasing import lease
from engine.runners.loaded import LoadedModel, LoadedModels, shared_models
from engine.runners.registry import RUNNERS, RunnerKind, load

__all__ = [
    "PRESETS",
    "RUNNERS",
    "TASKS",
    "Abilities",
    "Answer",
    "Facts",
    "FilledMask",
    "GeneratedToken",
    "GenerationSettings",
    "LoadedModel",
    "LoadedModels",
    "Runner",
    "RunnerKind",
    "Scored",
    "Speed",
    "Transcript",
    "abilities_of",
    "lease",
    "load",
    "shared_models",
    "speed",
    "tasks_of",
    "tasks_of_config",
]
