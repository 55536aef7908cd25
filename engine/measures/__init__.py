"""Measures: what one exact reading of a tensor says about it.

`reading.measure_tensor` reads and measures, `registry.MEASURES` lists every measure.
"""

from engine.measures import statistics as statistics  # registers every measure
