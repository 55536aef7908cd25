"""Loading with transformers: from this machine only, without anyone's code, and nothing left at random."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import RunnerError
from engine.runners.checkpoint import Checkpoint
from engine.runners.devices import check_memory, chosen_device, chosen_dtype, set_threads
from engine.runners.failures import as_runner_error

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

SAFELY = {"local_files_only": True, "trust_remote_code": False}
"""What every `from_pretrained` here is given. Pickles are read with weights_only, the default of transformers 5."""

NOT_NEEDED = re.compile(r"(^|\.)(pooler|lm_head|cls|predictions|classifier|position_ids)\b")
"""Tensors that a bare network can lack, since nothing that is used here comes through them."""


@dataclass(frozen=True, slots=True)
class Loading:
    """Where and how to load: `device` one of DEVICES, `dtype` one of DTYPES."""

    device: str = "auto"
    dtype: str = "auto"


def load_network(checkpoint: Checkpoint, auto_class: str, loading: Loading, **options) -> PreTrainedModel:
    """The model with its weights, in evaluation mode, on its device.

    Args:
        auto_class: of transformers, "AutoModel", "AutoModelForCausalLM", …
        options: further ones of `from_pretrained`.
    Raises: RunnerError if a file is missing or broken, the architecture is unknown, memory is short, or the checkpoint
        lacks tensors that the task needs (transformers would fill them with random numbers and only warn).
    """
    import transformers

    name = checkpoint.folder.name
    with as_runner_error(f"Loading {name}"):
        device = chosen_device(loading.device)
        stored = stored_dtype(checkpoint.config)
        dtype = chosen_dtype(loading.dtype, stored, device, checkpoint.num_bytes)
        check_memory(name, stored, checkpoint.num_bytes, dtype, device)
        set_threads()
        is_safe = any(path.suffix == ".safetensors" for path in checkpoint.weight_files)
        with quietly():
            model, report = getattr(transformers, auto_class).from_pretrained(
                checkpoint.folder,
                dtype=dtype,
                use_safetensors=True if is_safe else None,
                output_loading_info=True,
                **SAFELY,
                **options,
            )
        check_complete(name, report, is_bare=auto_class == "AutoModel")
        return model.to(device).eval()


def load_tokenizer(checkpoint: Checkpoint) -> PreTrainedTokenizerBase:
    """The tokenizer beside the weights. Raises: RunnerError if there is none or it is broken."""
    from transformers import AutoTokenizer

    if not checkpoint.has_tokenizer:
        raise RunnerError(
            f"{checkpoint.folder.name} has no tokenizer, so text cannot become its tokens.",
            "Put the original model's tokenizer.json (or tokenizer.model, or vocab.txt) beside the weights.",
        )
    with as_runner_error(f"Loading the tokenizer of {checkpoint.folder.name}"):
        return AutoTokenizer.from_pretrained(checkpoint.folder, **SAFELY)


def stored_dtype(config: dict) -> str:
    """The type of the weights as config.json says it, by its old and its new key; "" if it does not."""
    return str(config.get("dtype") or config.get("torch_dtype") or "").removeprefix("torch.")


def check_complete(name: str, report: dict, is_bare: bool) -> None:
    """Raises: RunnerError if tensors are missing or of the wrong shape.

    Args:
        report: what `from_pretrained` found with output_loading_info.
        is_bare: whether heads may be missing, because only the network below them is used.
    """
    missing = sorted(key for key in report["missing_keys"] if not (is_bare and NOT_NEEDED.search(key)))
    mismatched = sorted(str(key[0] if isinstance(key, tuple) else key) for key in report["mismatched_keys"])
    for keys, problem in ((missing, "lacks"), (mismatched, "has in another shape than its config says")):
        if keys:
            more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
            raise RunnerError(
                f"The checkpoint {name} {problem}: {', '.join(keys[:3])}{more}. It would run on random numbers.",
                "Choose a task that this checkpoint was trained for, or get the complete model.",
            )


def num_weight_bytes(model: PreTrainedModel) -> int:
    """Memory of the parameters and buffers; shared ones count once."""
    tensors = {tensor.data_ptr(): tensor.nbytes for tensor in (*model.parameters(), *model.buffers())}
    return sum(tensors.values())


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """No progress bars and warnings of transformers between our own lines."""
    from transformers.utils import logging

    was_shown, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if was_shown:
            logging.enable_progress_bar()
