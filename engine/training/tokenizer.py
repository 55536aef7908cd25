"""Byte-level BPE: a vocabulary learnt from text, with a token for every byte, so that any text goes in and back."""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from engine.errors import TrainingError
from engine.training.corpus import END_OF_TEXT as END_OF_TEXT

NUM_BYTES = 256


def train_tokenizer(texts: Iterable[str], vocabulary_size: int, context: int) -> PreTrainedTokenizerFast:
    """Learn a byte-level BPE vocabulary, as GPT-2 has it: no normalisation, merges inside words, digits and spaces.

    The result is the same for the same texts in the same order.

    Args:
        texts: what to learn from; training text only.
        vocabulary_size: tokens wanted, END_OF_TEXT and the 256 bytes included; fewer if the texts are too small for it.
        context: tokens the model can see, recorded as the tokenizer's `model_max_length`.
    Returns: a tokenizer for which decode(encode(text)) is the text, whatever it holds; END_OF_TEXT has id 0.
    Raises: TrainingError if the size leaves no room for the 256 bytes.
    Source: Sennrich, Haddow & Birch 2016; Radford et al. 2019 (bytes).
    """
    if vocabulary_size <= NUM_BYTES:
        raise TrainingError(
            f"A byte-level vocabulary needs at least {NUM_BYTES + 1} tokens, got {vocabulary_size}.",
            "Ask for a larger vocabulary; 2048 suits a small corpus.",
        )
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=END_OF_TEXT,
        eos_token=END_OF_TEXT,
        pad_token=END_OF_TEXT,
        model_max_length=context,
        clean_up_tokenization_spaces=False,
    )
