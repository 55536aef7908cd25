"""Use cases without a screen: read, measure, store, report. Also the command line, `python -m workflows`."""
