"""GGUF files through transformers: weights decoded to floats, the tokenizer rebuilt from the file's metadata."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import RunnerError
from engine.runners.checkpoint import Checkpoint
from engine.runners.devices import check_memory, chosen_device, chosen_dtype, set_threads
from engine.runners.failures import as_runner_error
from engine.runners.transformers_loading import SAFELY, Loading, check_complete, load_tokenizer, quietly

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_SPECIAL = {"bos_token": "bos", "eos_token": "eos", "unk_token": "unknown", "pad_token": "padding"}

_STRING_ARRAYS = ("tokens", "merges", "scores", "token_type")

_SMALLEST_BITS = 4.5
"""Of a weight of the common quantised files (Q4_0); what the decoded size is estimated from."""


def load_gguf_network(checkpoint: Checkpoint, loading: Loading, **options) -> PreTrainedModel:
    """The model with its weights decoded to one float type: float32, unless another is asked for or memory is short.

    Args: options: further ones of `from_pretrained`.
    Raises: RunnerError as `load_network`.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.utils.quantization_config import GgufConfig

    name = checkpoint.file.name
    with as_runner_error(f"Loading {name}"), quietly():
        device = chosen_device(loading.device)
        weights = int(checkpoint.num_bytes * 8 / _bits_per_weight(checkpoint))
        dtype = chosen_dtype(loading.dtype, "bfloat16", device, 2 * weights)
        check_memory(name, "bfloat16", 2 * weights, dtype, device)
        set_threads()
        config = AutoConfig.from_pretrained(checkpoint.folder, gguf_file=name, **SAFELY)
        for key in ("pad_token_id", "bos_token_id", "eos_token_id"):
            value = getattr(config, key, None)
            if isinstance(value, int) and not 0 <= value < config.vocab_size:
                setattr(config, key, None)  # files write 2³² − 1 for "none"
        model, report = AutoModelForCausalLM.from_pretrained(
            checkpoint.folder,
            config=config,
            gguf_file=name,
            dtype=dtype,
            quantization_config=GgufConfig(dequantize=True),  # no kernels are fetched from anywhere
            output_loading_info=True,
            **SAFELY,
            **options,
        )
        check_complete(name, report, is_bare=False)
        if not all(torch.isfinite(tensor).all() for tensor in model.buffers()):
            raise RunnerError(f"{name} describes positions that are not finite.", "Its metadata is damaged.")
        return model.to(device).eval()


def load_gguf_tokenizer(checkpoint: Checkpoint) -> PreTrainedTokenizerBase:
    """The tokenizer in the file; one that lies beside it comes first.

    transformers' own reader takes "no such token", which files write as 2³² − 1, for a place in the vocabulary, and
    fails; so the special tokens are named here, and the rest is its work.
    """
    if checkpoint.has_tokenizer:
        return load_tokenizer(checkpoint)
    with as_runner_error(f"Building the tokenizer of {checkpoint.file.name}"):
        from transformers import PreTrainedTokenizerFast
        from transformers.integrations.gguf import (
            GGUF_TOKENIZER_MAPPING,
            convert_gguf_tokenizer,
            read_gguf_metadata,
        )

        wanted = tuple(f"tokenizer.ggml.{key}" for key in _STRING_ARRAYS)
        metadata, _ = read_gguf_metadata(str(checkpoint.file), wanted)
        fields = {
            field: metadata[f"tokenizer.{key}"]
            for key, field in GGUF_TOKENIZER_MAPPING["tokenizer"].items()
            if f"tokenizer.{key}" in metadata
        }
        tokens = fields.get("tokens")
        if not isinstance(tokens, list):
            raise RunnerError(f"{checkpoint.file.name} holds no tokenizer.", "Put a tokenizer.json beside it.")
        backend, _ = convert_gguf_tokenizer(metadata["general.architecture"], fields)
        ids = {name: metadata.get(f"tokenizer.ggml.{key}_token_id") for name, key in _SPECIAL.items()}
        adds_start = metadata.get("tokenizer.ggml.add_bos_token", fields.get("tokenizer_type") == "llama")
        return PreTrainedTokenizerFast(
            tokenizer_object=backend,
            add_bos_token=bool(adds_start) and ids["bos_token"] is not None,
            chat_template=metadata.get("tokenizer.chat_template"),
            **{name: tokens[token] for name, token in ids.items() if token is not None and token < len(tokens)},
        )


def _bits_per_weight(checkpoint: Checkpoint) -> float:
    """Stored bits per weight, from the tensors' table; the vocabulary in the file makes it a little too high."""
    from transformers.integrations.gguf import GgufHeader

    header = GgufHeader.from_file(str(checkpoint.file))
    num_weights = 0
    for tensor in header.tensors:
        size = 1
        for dimension in tensor.shape:
            size *= dimension
        num_weights += size
    num_bytes = sum(tensor.nbytes for tensor in header.tensors)
    return 8 * num_bytes / num_weights if num_weights else _SMALLEST_BITS
