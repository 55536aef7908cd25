"""Spectra: what the singular values of a matrix say about it.

`reading.measure_spectrum` measures one tensor, `registry.SPECTRAL_MEASURES` lists every number that comes of it. The
singular values come from the Gram matrix of the smaller side (`singular_values`), or, of huge matrices, the largest
ones as an estimate (`leading_values`). `power_law` fits the tail of the eigenvalues λ = σ²; `noise` says where the
spectrum of pure noise would end.
"""

from engine.spectra import quantities as quantities  # registers every measure
