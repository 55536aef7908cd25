"""What a decoder keeps of the tokens it has read, so that each further one is read once."""

from __future__ import annotations

import torch

from engine.training.attention import attend, wants_whole_cache
from engine.training.model import Decoder, computing_type

ROOM = 64
"""Places by which a cache grows: 64 more are copied once in 64 steps, and looked at in vain less than half the time."""


class KeyValueCache:
    """Keys and values of the tokens so far, and the blocks' weights made ready once for many small steps.

    The weights are those of the moment it was made: make a new one after an update.

    Attributes:
        dtype: of everything in it: that of the model, or of autocast.
        weights: of each layer. keys, values: of each layer, (rows, key-value heads, places, head width); places that
            no token has filled are 0.
        length: how many places are filled.
        starts: (rows,) where each row's first token stands, after padding on the left; None if all stand at 0.
    """

    def __init__(self, model: Decoder, rows: int, starts: torch.Tensor | None = None) -> None:
        shape, embedding = model.settings, model.embed_tokens.weight
        self.dtype = computing_type(embedding)
        self.weights = [block.weights(self.dtype) for block in model.layers]
        empty = embedding.new_zeros((rows, shape.key_value_heads, 0, shape.width // shape.heads), dtype=self.dtype)
        self.keys, self.values = [empty] * shape.layers, [empty] * shape.layers
        self.length, self.starts = 0, starts

    def select(self, rows: torch.Tensor) -> None:
        """Keep these rows, in this order; a row may be named several times."""
        self.keys = [each[rows] for each in self.keys]
        self.values = [each[rows] for each in self.values]
        if self.starts is not None:
            self.starts = self.starts[rows]

    def next_places(self, tokens: int) -> tuple[slice | torch.Tensor, torch.Tensor | None]:
        """Make room for the next tokens; their positions, counted from each row's own start, and where each may look.

        Padding gets position 0 and sees itself, so that no row of probabilities is without a sum.

        Returns: positions as a slice, or (rows, 1, tokens); mask (…, tokens, places) of 0 and −inf, to be added to
            scores, None as in `attend`.
        """
        stop = self.length + tokens
        if stop > self.keys[0].shape[2]:
            self._grow(-(-stop // ROOM) * ROOM)
        num_places = self._num_seen(tokens)
        if self.starts is None and (self.length == 0 or tokens == 1) and num_places == stop:
            return slice(self.length, stop), None
        places = torch.arange(num_places, device=self.keys[0].device)
        own = places[self.length : stop, None]  # (tokens, 1)
        is_seen = places <= own
        positions: slice | torch.Tensor = slice(self.length, stop)
        if self.starts is not None:
            starts = self.starts[:, None, None, None]
            is_seen = (is_seen & (places >= starts)) | (places == own)  # (rows, 1, tokens, places)
            positions = (own[:, 0] - self.starts[:, None, None]).clamp(min=0)
        mask = torch.zeros(is_seen.shape, dtype=self.dtype, device=places.device)
        return positions, mask.masked_fill_(~is_seen, float("-inf"))

    def look(
        self,
        layer: int,
        mask: torch.Tensor | None,
        queries: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
    ) -> torch.Tensor:
        """Keep the keys and values of the next tokens, and let their queries see all that is kept."""
        tokens = keys.shape[2]
        all_keys, all_values = self.keys[layer], self.values[layer]
        all_keys[:, :, self.length : self.length + tokens] = keys
        all_values[:, :, self.length : self.length + tokens] = values
        if self.length == 0:
            return attend(queries, keys, values, mask)
        seen = self._num_seen(tokens)
        return attend(queries, all_keys[:, :, :seen], all_values[:, :, :seen], mask)

    def _num_seen(self, tokens: int) -> int:
        """Places that the next tokens look at: those filled by then, or all where a part would have to be copied."""
        is_whole = self.length > 0 and wants_whole_cache(tokens, self.keys[0])
        return self.keys[0].shape[2] if is_whole else self.length + tokens

    def _grow(self, places: int) -> None:
        rows, heads, filled, head_width = self.keys[0].shape
        for kept in (self.keys, self.values):
            for layer, before in enumerate(kept):
                kept[layer] = before.new_zeros((rows, heads, places, head_width))
                kept[layer][:, :, :filled] = before
