"""Where weights come from."""

from engine.sources.base import ByteCallback, Source, TensorInfo
from engine.sources.opening import open_source as open

__all__ = ["ByteCallback", "Source", "TensorInfo", "open"]
