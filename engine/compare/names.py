"""Tensor names with what varies between writers of one model taken away."""

from __future__ import annotations

import re
from collections.abc import Hashable
from dataclasses import dataclass

from engine.naming import Place, place
from engine.sources.base import TensorInfo

WRAPPERS = frozenset(
    re.findall(
        r"\w+",
        "module _orig_mod _fsdp_wrapped_module _checkpoint_wrapped_module base_model model net network backbone "
        "state_dict transformer language_model text_model bert roberta distilbert electra deberta camembert "
        "xlm_roberta albert mpnet gpt_neox gpt2 encoder_model student teacher ema",
    )
)
"""First words of a name that say which object holds the network, not where the tensor is in it."""

_INNER = re.compile(r"\.(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module|base_layer)(?=\.)")
_NUMBERS = re.compile(r"(?<![A-Za-z\d])\d+(?![A-Za-z\d])")


@dataclass(frozen=True, slots=True)
class Named:
    """A tensor with its place."""

    info: TensorInfo
    place: Place

    @classmethod
    def of(cls, info: TensorInfo) -> Named:
        return cls(info, place(info.name, info.shape))


def stripped(name: str) -> str:
    """The name without the wrappers around the network: `base_model.model.bert.encoder.…` becomes `encoder.…`.

    At least one word besides the last stays.
    """
    words = _INNER.sub("", name).split(".")
    while len(words) > 2 and words[0] in WRAPPERS:
        words = words[1:]
    return ".".join(words)


def with_layer(name: str) -> str:
    """The name with the number of its layer replaced by a mark, so that shifted layers have equal names."""
    where = place(name)
    if where.layer is None:
        return name
    found = [match for match in _NUMBERS.finditer(name) if int(match[0]) == where.layer]
    if not found:
        return name
    return f"{name[: found[0].start()]}#{name[found[0].end() :]}"


def place_key(one: Named, has_stacks: bool) -> Hashable:
    """What tensors of one place have in common, whatever they are called; the numbers tell experts apart."""
    numbers = tuple(_NUMBERS.findall(with_layer(one.info.name)))
    return (one.place.stack if has_stacks else "", one.place.layer, one.place.role, one.place.part, numbers)
