"""Chat: run a model on your own words, sounds and pictures."""

from ui.chat.models import pick_model_and_task
from ui.chat.panels import PANELS
from ui.page import page_setup, user_errors

page_setup("Chat", ":material/chat:", "Run a model: talk to it, or let it do what else it was made for.")

with user_errors():
    chosen = pick_model_and_task()
    if chosen is not None:
        location, task = chosen
        PANELS[task](location)
