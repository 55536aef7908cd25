"""A decoder-only transformer that is a Llama: RoPE, RMSNorm, SwiGLU, grouped queries, tied or untied head.

Its parameters carry the names they have in a Llama checkpoint, less the leading "model.". Query, key and value matrices
are parameters of their own, as an optimizer wants them, and are laid side by side for one product.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from engine.training.cross_entropy import cross_entropy
from engine.training.footprint import completed
from engine.training.settings import ModelSettings

INITIAL_SCALE = 0.02
"""Standard deviation of fresh embeddings (GPT-2's)."""


class Attention(nn.Module):
    """Causal attention of `heads` queries over `key_value_heads` keys and values, rotated by position."""

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        self.heads, self.key_value_heads = settings.heads, settings.key_value_heads
        self.head_width = settings.width // settings.heads
        key_value_width = self.head_width * self.key_value_heads
        self.q_proj = nn.Linear(settings.width, settings.width, bias=False)
        self.k_proj = nn.Linear(settings.width, key_value_width, bias=False)
        self.v_proj = nn.Linear(settings.width, key_value_width, bias=False)
        self.o_proj = nn.Linear(settings.width, settings.width, bias=False)

    def fused(self) -> torch.Tensor:
        """(width + 2 · key-value width, width): one product for queries, keys and values."""
        return torch.cat((self.q_proj.weight, self.k_proj.weight, self.v_proj.weight))


class FeedForward(nn.Module):
    """SwiGLU: down(silu(gate x) · up x) (Shazeer 2020)."""

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(settings.width, settings.ffn_width, bias=False)
        self.up_proj = nn.Linear(settings.width, settings.ffn_width, bias=False)
        self.down_proj = nn.Linear(settings.ffn_width, settings.width, bias=False)

    def fused(self) -> torch.Tensor:
        """(2 · ffn width, width): one product for gate and up."""
        return torch.cat((self.gate_proj.weight, self.up_proj.weight))


class Block(nn.Module):
    """x + attention(norm x), then x + feed-forward(norm x)."""

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        self.self_attn = Attention(settings)
        self.mlp = FeedForward(settings)
        self.input_layernorm = nn.RMSNorm(settings.width, settings.norm_epsilon)
        self.post_attention_layernorm = nn.RMSNorm(settings.width, settings.norm_epsilon)


class KeyValueCache:
    """Keys and values of the tokens seen so far, and the matrices laid side by side once for many small steps.

    It holds the weights as they were when it was made: make a new one after an update.

    Attributes:
        keys, values: of each layer, (rows, key-value heads, capacity, head width); `length` of the capacity is filled.
        starts: (rows,) where each row's first token stands, after padding on the left; None if all begin at 0.
    """

    def __init__(self, model: Decoder, rows: int, capacity: int, starts: torch.Tensor | None = None) -> None:
        weight = model.embed_tokens.weight
        device = weight.device.type
        self.dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype
        attention = model.layers[0].self_attn
        shape = (rows, attention.key_value_heads, capacity, attention.head_width)
        self.keys = [weight.new_zeros(shape, dtype=self.dtype) for _ in model.layers]
        self.values = [weight.new_zeros(shape, dtype=self.dtype) for _ in model.layers]
        self.weights = [tuple(matrix.to(self.dtype) for matrix in _matrices(block)) for block in model.layers]
        self.length, self.starts = 0, starts

    def select(self, rows: torch.Tensor) -> None:
        """Keep these rows, in this order; a row may be named several times."""
        self.keys = [each[rows] for each in self.keys]
        self.values = [each[rows] for each in self.values]
        if self.starts is not None:
            self.starts = self.starts[rows]


class Decoder(nn.Module):
    """The whole model, with fresh weights from torch's random generator.

    Fresh weights: normal about 0. Embeddings have σ = 0.02, so that the first predictions are nearly even; matrices
    have σ = 1 / √inputs · ½, and those that write into the residual stream less by √(2 · layers), so that its
    size does not grow with depth (Radford et al. 2019). Norms begin at 1.

    Raises: TrainingError if no model has this shape.
    """

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        self.settings = completed(settings)
        shape = self.settings
        self.embed_tokens = nn.Embedding(shape.vocabulary_size, shape.width)
        self.layers = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.width, shape.norm_epsilon)
        self.lm_head = None if shape.tied else nn.Linear(shape.width, shape.vocabulary_size, bias=False)
        self.restore_tables()
        self._initialise()

    @property
    def head(self) -> nn.Parameter:
        """(vocabulary, width): the output head, which may be the embedding."""
        return self.embed_tokens.weight if self.lm_head is None else self.lm_head.weight

    def restore_tables(self) -> None:
        """Compute the rotary tables, which no checkpoint holds; needed after building the model without data."""
        shape = self.settings
        cosines, sines = rotary_table(shape.context, shape.width // shape.heads, shape.rope_theta)
        self.register_buffer("cosines", cosines, persistent=False)  # (context, head width / 2)
        self.register_buffer("sines", sines, persistent=False)

    @torch.no_grad()
    def _initialise(self) -> None:
        nn.init.normal_(self.embed_tokens.weight, std=INITIAL_SCALE)
        if self.lm_head is not None:
            nn.init.normal_(self.lm_head.weight, std=INITIAL_SCALE)
        for name, matrix in self.layers.named_parameters():
            if matrix.ndim == 2:
                depth = math.sqrt(2 * len(self.layers)) if name.endswith(("o_proj.weight", "down_proj.weight")) else 1
                nn.init.normal_(matrix, std=0.5 / math.sqrt(matrix.shape[1]) / depth)

    def hidden(self, ids: torch.Tensor, cache: KeyValueCache | None = None) -> torch.Tensor:
        """What goes into the output head.

        Args:
            ids: (rows, tokens) int64. cache: of tokens before these, which is lengthened by them; nothing is dropped
                out and no gradient flows then.
        Returns: (rows, tokens, width), after the last norm; bf16 under autocast to bf16.
        """
        x = self.embed_tokens(ids)
        dtype = x.dtype
        if cache is not None:
            dtype = cache.dtype
        elif torch.is_autocast_enabled(x.device.type):
            dtype = torch.get_autocast_dtype(x.device.type)
        x = self._dropped(x.to(dtype), cache)
        with torch.autocast(x.device.type, enabled=False):
            rotation, mask = self._positions(ids, cache)
            for index, block in enumerate(self.layers):
                weights = _matrices(block) if cache is None else cache.weights[index]
                x = self._block(x, index, tuple(each.to(dtype) for each in weights), rotation, mask, cache)
            if cache is not None:
                cache.length += ids.shape[1]
            return self._normed(x, self.norm)

    def forward(self, ids: torch.Tensor, targets: torch.Tensor | None = None) -> torch.Tensor:
        """Logits (rows, tokens, vocabulary) in fp32; with targets, the loss (a wrapper such as DDP calls this)."""
        if targets is not None:
            return self.loss(ids, targets)
        hidden = self.hidden(ids)
        with torch.autocast(hidden.device.type, enabled=False):
            return functional.linear(hidden, self.head.to(hidden.dtype)).float()

    def loss(self, ids: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Mean of −ln p(target) in nats over the targets that are not −100; the logits never exist all at once.

        Args: ids, targets: (rows, tokens) int64; targets[:, i] is what should follow ids[:, i].
        """
        return cross_entropy(self.hidden(ids), self.head, targets)

    def hidden_matrices(self) -> list[nn.Parameter]:
        """The matrices of the blocks, which Muon takes: queries, keys, values, output, gate, up and down each alone."""
        return [parameter for parameter in self.layers.parameters() if parameter.ndim == 2]

    def other_parameters(self) -> list[nn.Parameter]:
        """Embedding, output head and norms, which AdamW takes."""
        matrices = {id(parameter) for parameter in self.hidden_matrices()}
        return [parameter for parameter in self.parameters() if id(parameter) not in matrices]

    def _positions(self, ids: torch.Tensor, cache: KeyValueCache | None) -> tuple:
        """Rotation of each token, and where it may look (None: at all before it)."""
        tokens = ids.shape[1]
        if cache is None:
            return (self.cosines[:tokens], self.sines[:tokens]), None
        stop = cache.length + tokens
        if cache.starts is None:
            mask = None
            if cache.length and tokens > 1:
                places = torch.arange(stop, device=ids.device)
                mask = places <= places[cache.length :, None]
            return (self.cosines[cache.length : stop], self.sines[cache.length : stop]), mask
        places = torch.arange(stop, device=ids.device)
        own = places[cache.length :]
        positions = (own - cache.starts[:, None]).clamp(min=0)[:, None]  # (rows, 1, tokens)
        is_real = places >= cache.starts[:, None, None]  # (rows, 1, stop)
        mask = (is_real & (places <= own[:, None])) | (places == own[:, None])  # padding sees itself: no row is empty
        return (self.cosines[positions], self.sines[positions]), mask[:, None]

    def _block(self, x, index, weights, rotation, mask, cache) -> torch.Tensor:
        block, (rows, tokens, width) = self.layers[index], x.shape
        attention = block.self_attn
        into_attention, out_of_attention, into_ffn, out_of_ffn = weights
        qkv = functional.linear(self._normed(x, block.input_layernorm), into_attention)
        qkv = qkv.view(rows, tokens, -1, attention.head_width).transpose(1, 2)  # (rows, all heads, tokens, head width)
        turned, values = qkv.split((attention.heads + attention.key_value_heads, attention.key_value_heads), dim=1)
        queries, keys = rotated(turned, *rotation).split((attention.heads, attention.key_value_heads), dim=1)
        if cache is not None:
            stop = cache.length + tokens
            cache.keys[index][:, :, cache.length : stop] = keys
            cache.values[index][:, :, cache.length : stop] = values
            keys, values = cache.keys[index][:, :, :stop], cache.values[index][:, :, :stop]
        mixed = attend(queries, keys, values, mask)
        mixed = mixed.transpose(1, 2).reshape(rows, tokens, width)
        x = x + self._dropped(functional.linear(mixed, out_of_attention), cache)
        gate, up = functional.linear(self._normed(x, block.post_attention_layernorm), into_ffn).chunk(2, dim=-1)
        return x + self._dropped(functional.linear(functional.silu(gate) * up, out_of_ffn), cache)

    def _normed(self, x: torch.Tensor, norm: nn.RMSNorm) -> torch.Tensor:
        return functional.rms_norm(x, norm.normalized_shape, norm.weight.to(x.dtype), norm.eps)

    def _dropped(self, x: torch.Tensor, cache: KeyValueCache | None) -> torch.Tensor:
        if cache is not None or not self.training or not self.settings.dropout:
            return x
        return functional.dropout(x, self.settings.dropout)


def rotary_table(context: int, head_width: int, theta: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosine and sine of position · theta^(−2i / head width), (context, head width / 2) each."""
    frequencies = 1.0 / theta ** (torch.arange(0, head_width, 2, dtype=torch.float32) / head_width)
    angles = torch.outer(torch.arange(context, dtype=torch.float32), frequencies)
    return angles.cos(), angles.sin()


def rotated(x: torch.Tensor, cosines: torch.Tensor, sines: torch.Tensor) -> torch.Tensor:
    """Each pair (x[i], x[i + half]) turned by its angle: RoPE with Llama's order of pairs (Su et al. 2021)."""
    cosines, sines = cosines.to(x.dtype), sines.to(x.dtype)
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cosines - second * sines, second * cosines + first * sines), dim=-1)


def attend(queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """softmax(q kᵀ / √head width) v; without a mask each query sees the keys up to its own place."""
    return functional.scaled_dot_product_attention(
        queries,
        keys,
        values,
        attn_mask=mask,
        is_causal=mask is None and queries.shape[2] > 1,
        enable_gqa=keys.shape[1] != queries.shape[1],
    )


def _matrices(block: Block) -> tuple[torch.Tensor, ...]:
    attention, ffn = block.self_attn, block.mlp
    return attention.fused(), attention.o_proj.weight, ffn.fused(), ffn.down_proj.weight
