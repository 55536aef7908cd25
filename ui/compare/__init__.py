"""The Compare page: two checkpoints side by side, what changed, where, and over versions."""

from ui.compare.page import compare_page

__all__ = ["compare_page"]
