"""What a decoder keeps of the tokens it has read, so that each further one is read once."""

from __future__ import annotations

import torch

from engine.training.attention import attend
from engine.training.model import Decoder, computing_type


class KeyValueCache:
    """Keys and values of the tokens so far, and the blocks' weights made ready once for many small steps.

    The weights are those of the moment it was made: make a new one after an update.

    Attributes:
        dtype: of everything in it: that of the model, or of autocast.
        weights: of each layer. keys, values: of each layer, (rows, key-value heads, capacity, head width).
        length: how much of the capacity is filled.
        starts: (rows,) where each row's first token stands, after padding on the left; None if all stand at 0.
    """

    def __init__(self, model: Decoder, rows: int, capacity: int, starts: torch.Tensor | None = None) -> None:
        shape, embedding = model.settings, model.embed_tokens.weight
        self.dtype = computing_type(embedding)
        self.weights = [block.weights(self.dtype) for block in model.layers]
        size = (rows, shape.key_value_heads, capacity, shape.width // shape.heads)
        self.keys = [embedding.new_zeros(size, dtype=self.dtype) for _ in model.layers]
        self.values = [embedding.new_zeros(size, dtype=self.dtype) for _ in model.layers]
        self.length, self.starts = 0, starts

    def select(self, rows: torch.Tensor) -> None:
        """Keep these rows, in this order; a row may be named several times."""
        self.keys = [each[rows] for each in self.keys]
        self.values = [each[rows] for each in self.values]
        if self.starts is not None:
            self.starts = self.starts[rows]

    def places_of_next(self, tokens: int) -> tuple[slice | torch.Tensor, torch.Tensor | None]:
        """Of the next tokens: their positions, counted from each row's own start, and where each may look.

        Padding gets position 0 and sees itself, so that no row of probabilities is without a sum.

        Returns: positions as a slice, or (rows, 1, tokens); mask (…, tokens, places), None as in `attend`.
        """
        stop = self.length + tokens
        if self.starts is None and (tokens == 1 or self.length == 0):
            return slice(self.length, stop), None
        places = torch.arange(stop, device=self.keys[0].device)
        own = places[self.length :, None]  # (tokens, 1)
        is_before = places <= own
        if self.starts is None:
            return slice(self.length, stop), is_before
        starts = self.starts[:, None, None]
        mask = (is_before & (places >= starts)) | (places == own)  # (rows, tokens, places)
        return (own[:, 0] - starts).clamp(min=0), mask[:, None]

    def look(
        self,
        layer: int,
        mask: torch.Tensor | None,
        queries: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
    ) -> torch.Tensor:
        """Keep the keys and values of the next tokens, and let their queries see all that is kept."""
        stop = self.length + keys.shape[2]
        self.keys[layer][:, :, self.length : stop] = keys
        self.values[layer][:, :, self.length : stop] = values
        return attend(queries, self.keys[layer][:, :, :stop], self.values[layer][:, :, :stop], mask)
