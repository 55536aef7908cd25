"""The features themselves, one file a group. The order of these imports is the order of the vector."""

from engine.discovery.signature.features import distribution as distribution  # isort: skip
from engine.discovery.signature.features import norms as norms  # isort: skip
from engine.discovery.signature.features import spectrum as spectrum  # isort: skip
from engine.discovery.signature.features import heads as heads  # isort: skip
from engine.discovery.signature.features import order as order  # isort: skip
from engine.discovery.signature.features import outliers as outliers  # isort: skip
