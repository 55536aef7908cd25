"""A model as an ordinary Llama checkpoint: written so that transformers loads it, and read back, sharded or not."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from transformers import GenerationConfig, LlamaConfig, PreTrainedTokenizerFast

from engine.errors import TrainingError
from engine.sources import Source
from engine.sources import open as open_source
from engine.training.llama_config import settings_of
from engine.training.model import Decoder
from engine.training.settings import ModelSettings

SAMPLING = {"do_sample": True, "temperature": 0.8, "top_k": 50}
"""What a reader of the folder is told to sample with; chosen by us."""
MAX_NEW_TOKENS = 200

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
_NUMPY_TYPES = ("F32", "F16", "BF16", "F64")
_BUFFERS = (".rotary_emb.inv_freq", ".self_attn.masked_bias")
"""Tables that old versions of transformers saved along with the weights; they follow from the settings."""


def save_llama(
    model: Decoder, tokenizer: PreTrainedTokenizerFast, folder: Path, dtype: Literal["fp32", "bf16"] = "fp32"
) -> None:
    """Write model.safetensors, config.json, generation_config.json and the tokenizer's files into an existing folder.

    The files are written in place: who wants them complete or not at all writes into a new folder and renames it.

    Args: dtype: of the written weights; "bf16" rounds to the nearest. The model keeps its own.
    Raises: TrainingError if the folder cannot be written or the disk is full.
    """
    folder = Path(folder)
    tensors = {
        _file_name(name): tensor.detach().to("cpu", _DTYPES[dtype]).contiguous()
        for name, tensor in model.state_dict().items()
    }
    ends = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    written = min(MAX_NEW_TOKENS, model.settings.context)
    try:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        _config(model.settings, _DTYPES[dtype], ends).save_pretrained(folder)
        GenerationConfig(
            **SAMPLING, **ends, pad_token_id=tokenizer.pad_token_id, max_new_tokens=written
        ).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    except (OSError, SafetensorError) as error:
        raise TrainingError(
            f"The model cannot be written to {folder}: {error}.",
            "Look for room on the disk and for the right to write.",
        ) from error


def load_llama(folder: Path) -> tuple[Decoder, PreTrainedTokenizerFast]:
    """The model and tokenizer of a Llama folder; the weights come as fp32, whatever the files hold.

    Raises: TrainingError if the folder is no Llama that this decoder can be, saying what differs, or has no tokenizer;
        SourceError if its files are damaged.
    """
    folder = Path(folder)
    with open_source(str(folder)) as source:
        settings = settings_of(source.config, folder)
        with torch.device("meta"):
            model = Decoder(settings)
        _load_weights(model, source, folder)
    tokenizer = _tokenizer(folder)
    if len(tokenizer) > settings.vocabulary_size:
        raise TrainingError(
            f"The tokenizer of {folder} has {len(tokenizer)} tokens, its model only {settings.vocabulary_size}.",
            "They do not belong together.",
        )
    return model.eval(), tokenizer


def _file_name(name: str) -> str:
    return name if name.startswith("lm_head.") else f"model.{name}"


def _config(settings: ModelSettings, dtype: torch.dtype, ends: dict[str, int | None]) -> LlamaConfig:
    return LlamaConfig(
        architectures=["LlamaForCausalLM"],
        vocab_size=settings.vocabulary_size,
        hidden_size=settings.width,
        intermediate_size=settings.ffn_width,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        num_key_value_heads=settings.key_value_heads,
        max_position_embeddings=settings.context,
        rms_norm_eps=settings.norm_epsilon,
        rope_parameters={"rope_type": "default", "rope_theta": settings.rope_theta},
        tie_word_embeddings=settings.tied,
        dtype=dtype,
        pad_token_id=None,  # named here, its embedding would be cut off from learning, and it may be END_OF_TEXT too
        **ends,
    )


def _load_weights(model: Decoder, source: Source, folder: Path) -> None:
    wanted = {_file_name(name): tensor for name, tensor in model.state_dict().items()}
    found = {info.name: info for info in source.infos() if not info.name.endswith(_BUFFERS)}
    if model.settings.tied:
        found.pop("lm_head.weight", None)  # some writers store the shared matrix twice
    problems = [f"{name} is missing" for name in wanted if name not in found]
    problems += [f"{name} is not expected" for name in found if name not in wanted]
    for name in (each for each in wanted if each in found):
        shape, expected = tuple(found[name].shape), tuple(wanted[name].shape)
        if shape != expected:
            problems.append(f"{name} has shape {shape} instead of {expected}")
        if found[name].dtype not in _NUMPY_TYPES:
            problems.append(f"{name} is stored as {found[name].dtype}")
    if problems:
        more = f", and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise TrainingError(
            f"The weights in {folder} do not fit their configuration: {'; '.join(problems[:3])}{more}.",
            "The folder may be incomplete, or of another architecture.",
        )
    weights = {}
    for name in model.state_dict():
        array = source.read(_file_name(name))
        weights[name] = torch.from_numpy(np.array(array, dtype=np.float32))
    model.load_state_dict(weights, assign=True)
    model.restore_tables()
    for parameter in model.parameters():
        parameter.requires_grad_(True)


def _tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    if not (folder / "tokenizer.json").is_file():
        raise TrainingError(
            f"{folder} has no tokenizer.json.", "Put the tokenizer that the model was trained with into the folder."
        )
    try:
        return PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # tokenizers raises bare Exceptions for a broken file
        raise TrainingError(
            f"The tokenizer in {folder} cannot be read: {error}.", "Put the model's own tokenizer.json there."
        ) from error
