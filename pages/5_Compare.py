"""Compare: two checkpoints, what changed between them, where, and whether one comes from the other."""

from ui.compare import compare_page
from ui.page import page_setup, user_errors

page_setup("Compare", ":material/compare_arrows:", "What changed between two checkpoints, where, and since when.")

with user_errors():
    compare_page()
