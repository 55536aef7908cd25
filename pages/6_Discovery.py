"""Discovery: what resembles what, what is odd, and whether models share their patterns."""

from ui.discovery.page import discovery_page
from ui.page import page_setup

page_setup(
    "Discovery",
    ":material/hub:",
    "Find what layers and models have in common, what is odd, and what noise would show as well.",
)

discovery_page()
