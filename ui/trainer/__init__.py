"""The Self-Play Trainer page: the runs, the way to a new model, and one run from its first step to its last."""

from ui.trainer.page import trainer_page

__all__ = ["trainer_page"]
