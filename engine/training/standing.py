"""Where a self-play stands between two iterations: all it remembers besides weights and optimizer."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.errors import TrainingError
from engine.training.continuation import check_same
from engine.training.verdict import Judgement, Look, Verdict, judge, look_from


@dataclass(slots=True)
class Standing:
    """Grows with every iteration and every look.

    Attributes:
        kl_coefficient: of the next update. iteration: updates made.
        looks: the first, and the best since, if there is one: what verdicts compare with.
        verdict: on the last look; "unchanged" before there was one.
        best_step, best_reward, best_bits_per_byte: of the look with the highest reward among those judged "improved";
            of the first look while there is none. So a reward that was hacked, or may be chance, never makes the best.
    """

    kl_coefficient: float
    iteration: int = 0
    looks: list[Look] = field(default_factory=list)
    verdict: Verdict = "unchanged"
    best_step: int = 0
    best_reward: float = -math.inf
    best_bits_per_byte: float = math.inf

    @property
    def is_best(self) -> bool:
        """Whether the model as it is now is the best so far."""
        return self.best_step == self.iteration

    def begin(self, look: Look) -> None:
        """The look before the first iteration."""
        self.looks = [look]
        self._set_best(look)

    def judged(self, look: Look) -> Judgement:
        """The verdict on a later look, which is remembered with it."""
        judgement = judge([*self.looks, look])
        self.verdict = judgement.verdict
        if judgement.verdict == "improved" and look.reward > self.best_reward:
            self.looks = [self.looks[0], look]
            self._set_best(look)
        return judgement

    def facts(self, identity: dict[str, Any]) -> dict[str, Any]:
        """What a checkpoint keeps. Args: identity: of `playable.identity`."""
        return {"self-play": identity, "standing": dataclasses.asdict(self)}

    @classmethod
    def from_facts(cls, folder: Path, facts: dict[str, Any], identity: dict[str, Any]) -> Standing:
        """What `facts` gave, after JSON.

        Raises: TrainingError if they are of another self-play than this identity's, or of another kind of training.
        """
        try:
            check_same(folder, facts["self-play"], identity)
            values = facts["standing"]
            return cls(**values | {"looks": [look_from(each) for each in values["looks"]]})
        except (KeyError, TypeError, AttributeError) as error:
            raise TrainingError(
                f"{folder} was not written by self-play: {error!r} is missing.", "Let the model play in another folder."
            ) from error

    def _set_best(self, look: Look) -> None:
        self.best_step, self.best_reward, self.best_bits_per_byte = look.iteration, look.reward, look.bits_per_byte
