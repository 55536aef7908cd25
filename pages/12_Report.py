"""Report: what was seen and found, as one file to send; and the saved views it is made from."""

from ui.page import page_setup
from ui.report import report_page

page_setup(
    "Report", ":material/summarize:", "What you saw and what was found, as one file that opens anywhere, also offline."
)
report_page()
