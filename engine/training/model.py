"""A decoder-only transformer that is a Llama: RoPE, RMSNorm, SwiGLU, grouped queries, tied or untied head.

Its parameters carry the names they have in a Llama checkpoint, less the leading "model.". Query, key and value matrices
are parameters of their own, as an optimizer wants them, and are laid side by side for one product.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from engine.training.attention import attend
from engine.training.cross_entropy import cross_entropy
from engine.training.footprint import completed
from engine.training.rms_norm import rms_norm
from engine.training.settings import ModelSettings

if TYPE_CHECKING:
    from engine.training.key_value_cache import KeyValueCache

Rotation = tuple[torch.Tensor, torch.Tensor]
Look = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]

INITIAL_SCALE = 0.02
"""Standard deviation of fresh embeddings (GPT-2's)."""


class Attention(nn.Module):
    """The matrices of causal attention: `heads` of queries over `key_value_heads` of keys and values."""

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        key_value_width = settings.width // settings.heads * settings.key_value_heads
        self.q_proj = nn.Linear(settings.width, settings.width, bias=False)
        self.k_proj = nn.Linear(settings.width, key_value_width, bias=False)
        self.v_proj = nn.Linear(settings.width, key_value_width, bias=False)
        self.o_proj = nn.Linear(settings.width, settings.width, bias=False)


class FeedForward(nn.Module):
    """The matrices of SwiGLU: down(silu(gate x) · up x) (Shazeer 2020)."""

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(settings.width, settings.ffn_width, bias=False)
        self.up_proj = nn.Linear(settings.width, settings.ffn_width, bias=False)
        self.down_proj = nn.Linear(settings.ffn_width, settings.width, bias=False)


class BlockWeights(NamedTuple):
    """What a block computes with: matrices that read the same input laid side by side, all of one type."""

    attention_gain: torch.Tensor  # (width,)
    into_attention: torch.Tensor  # (width + 2 · key-value width, width): queries, keys, values
    out_of_attention: torch.Tensor  # (width, width)
    ffn_gain: torch.Tensor  # (width,)
    into_ffn: torch.Tensor  # (2 · ffn width, width): gate, up
    out_of_ffn: torch.Tensor  # (width, ffn width)


class Block(nn.Module):
    """x + attention(norm x), then x + feed-forward(norm x)."""

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        self.settings = settings
        self.self_attn = Attention(settings)
        self.mlp = FeedForward(settings)
        self.input_layernorm = nn.RMSNorm(settings.width)
        self.post_attention_layernorm = nn.RMSNorm(settings.width)

    def weights(self, dtype: torch.dtype) -> BlockWeights:
        """Laying matrices side by side copies them, which is nothing beside what a batch of text computes with them."""
        attention, ffn = self.self_attn, self.mlp
        weights = BlockWeights(
            self.input_layernorm.weight,
            torch.cat((attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight)),
            attention.o_proj.weight,
            self.post_attention_layernorm.weight,
            torch.cat((ffn.gate_proj.weight, ffn.up_proj.weight)),
            ffn.down_proj.weight,
        )
        return BlockWeights(*(each.to(dtype) for each in weights))

    def forward(
        self, x: torch.Tensor, weights: BlockWeights, rotation: Rotation, look: Look, dropout: float
    ) -> torch.Tensor:
        """Args: x: (rows, tokens, width). look: (queries, keys, values) -> what they see, of the shape of queries."""
        rows, tokens, width = x.shape
        x = x.view(rows * tokens, width)  # a product of two dimensions is found sooner
        heads, key_value_heads = self.settings.heads, self.settings.key_value_heads
        epsilon = self.settings.norm_epsilon
        qkv = functional.linear(rms_norm(x, weights.attention_gain, epsilon), weights.into_attention)
        qkv = qkv.view(rows, tokens, heads + 2 * key_value_heads, width // heads).transpose(1, 2)
        turned, values = qkv.split((heads + key_value_heads, key_value_heads), dim=1)
        queries, keys = rotated(turned, rotation).split((heads, key_value_heads), dim=1)
        mixed = look(queries, keys, values).transpose(1, 2).reshape(rows * tokens, width)
        x = x + _dropped(functional.linear(mixed, weights.out_of_attention), dropout)
        gate, up = functional.linear(rms_norm(x, weights.ffn_gain, epsilon), weights.into_ffn).chunk(2, dim=-1)
        x = x + _dropped(functional.linear(functional.silu(gate) * up, weights.out_of_ffn), dropout)
        return x.view(rows, tokens, width)


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
        self.norm = nn.RMSNorm(shape.width)
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
        self.register_buffer("cosines", cosines, persistent=False)  # (context, head width)
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
            ids: (rows, tokens) int64. cache: of tokens before these, which is lengthened by them; nothing is then
                dropped out, and no gradient flows to the blocks.
        Returns: (rows, tokens, width), after the last norm; bf16 under autocast to bf16.
        """
        if cache is not None:
            return self._hidden_after(ids, cache)
        dropout = self.settings.dropout if self.training else 0.0
        x = _dropped(self.embed_tokens(ids), dropout)
        dtype = computing_type(x)
        with torch.autocast(x.device.type, enabled=False):
            x = x.to(dtype)
            rotation = tuple(each[: ids.shape[1]].to(dtype) for each in (self.cosines, self.sines))
            for block in self.layers:
                x = block(x, block.weights(dtype), rotation, attend, dropout)
            return rms_norm(x, self.norm.weight.to(dtype), self.settings.norm_epsilon)

    def _hidden_after(self, ids: torch.Tensor, cache: KeyValueCache) -> torch.Tensor:
        """(rows, tokens, width) of tokens that come after those in the cache."""
        x = self.embed_tokens(ids)
        with torch.autocast(x.device.type, enabled=False):
            x = x.to(cache.dtype)
            positions, mask = cache.next_places(ids.shape[1])
            rotation = tuple(each[positions].to(cache.dtype) for each in (self.cosines, self.sines))
            for index, block in enumerate(self.layers):
                x = block(x, cache.weights[index], rotation, partial(cache.look, index, mask), 0.0)
            cache.length += ids.shape[1]
            return rms_norm(x, self.norm.weight.to(cache.dtype), self.settings.norm_epsilon)

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


def rotary_table(context: int, head_width: int, theta: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosine and signed sine of position · theta^(−2i / head width), (context, head width) each.

    The second half repeats the first; the sines of the first half are negative, as `rotated` wants them.
    """
    frequencies = 1.0 / theta ** (torch.arange(0, head_width, 2, dtype=torch.float32) / head_width)
    angles = torch.outer(torch.arange(context, dtype=torch.float32), frequencies)
    return torch.cat((angles.cos(), angles.cos()), dim=1), torch.cat((-angles.sin(), angles.sin()), dim=1)


def rotated(x: torch.Tensor, rotation: Rotation) -> torch.Tensor:
    """Each pair (x[i], x[i + half]) turned by its angle: RoPE with Llama's order of pairs (Su et al. 2021)."""
    cosines, sines = rotation
    return torch.addcmul(x * cosines, x.roll(x.shape[-1] // 2, dims=-1), sines)


def computing_type(x: torch.Tensor) -> torch.dtype:
    """That of x, or what autocast asks for on its device."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype


def _dropped(x: torch.Tensor, share: float) -> torch.Tensor:
    return functional.dropout(x, share) if share else x
