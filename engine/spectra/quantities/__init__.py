"""The spectral measures themselves, one file a quantity; every public function in here is a registered measure.

A new file is found by itself: importing this package imports them all.
"""

import importlib
import pkgutil

MODULES = tuple(
    importlib.import_module(f"{__name__}.{module.name}")
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name)
)
