"""The trainer: make a model, train it, watch its weights grow, let it play, and look at what became of it."""

from ui.page import page_setup, user_errors
from ui.trainer import trainer_page

page_setup(
    "Self-Play Trainer",
    ":material/exercise:",
    "Make a small language model, watch its weights grow while it learns, then let it play.",
)

with user_errors():
    trainer_page()
