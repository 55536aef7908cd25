"""Text generation: continue a text, or answer in a conversation."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.errors import RunnerError
from engine.runners.contract import Runner
from engine.runners.failures import as_runner_error
from engine.runners.generation import Decoder, GeneratedToken, generated
from engine.runners.generation_settings import GenerationSettings
from engine.runners.token_text import TokenTexts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Message = Mapping[str, str]
"""One turn of a conversation: {"role": "system" | "user" | "assistant", "content": text}."""

_LEAST_ROOM = 4
"""A prompt that is too long leaves at least a quarter of the context for what is generated."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the network will read: token ids, and how many of its first tokens were cut because the context is full."""

    token_ids: tuple[int, ...]
    num_cut: int


@dataclass
class TextGenerator(Runner):
    """Generates text.

    Attributes:
        default_settings: what the model's authors recommend. has_chat_template: whether it was made for conversations.
    """

    decoder: Decoder = field(kw_only=True)
    tokenizer: PreTrainedTokenizerBase = field(kw_only=True)
    default_settings: GenerationSettings = field(kw_only=True, default_factory=GenerationSettings)

    def __post_init__(self) -> None:
        tokenizer = self.tokenizer
        self._texts = TokenTexts(
            decode=lambda ids: tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False),
            spell=lambda token: str(tokenizer.convert_ids_to_tokens(token)),
        )

    @property
    def has_chat_template(self) -> bool:
        return bool(getattr(self.tokenizer, "chat_template", None))

    def stream(
        self,
        prompt: str | Sequence[Message] | Prompt,
        settings: GenerationSettings | None = None,
        stop: threading.Event | None = None,
    ) -> Iterator[GeneratedToken]:
        """Tokens as they come; may be consumed in any thread, and abandoned at any point.

        Args:
            prompt: a text to continue as it stands, or a conversation to answer (through the chat template; see
                `as_plain_text` for models without one), or what `prepare` made of either.
            settings: `default_settings` if left out.
            stop: set it to end the stream after the current token.
        Raises: RunnerError if the prompt is empty, or memory runs out.
        """
        settings = settings or self.default_settings
        prepared = prompt if isinstance(prompt, Prompt) else self.prepare(prompt, settings)
        return generated(self.decoder, self._texts, prepared.token_ids, settings, self.lock, stop)

    def prepare(self, prompt: str | Sequence[Message], settings: GenerationSettings | None = None) -> Prompt:
        """The tokens of a prompt. One that leaves too little room loses its beginning.

        Room is left for `max_new_tokens`, but no more than three quarters of the context.
        """
        settings = settings or self.default_settings
        with as_runner_error("Cutting the prompt into tokens"):
            ids = self._ids_of_text(prompt) if isinstance(prompt, str) else self._ids_of_conversation(prompt)
        context = self.decoder.context
        if context is None:
            return Prompt(tuple(ids), 0)
        wanted = 0 if self.decoder.is_encoder_decoder else settings.max_new_tokens
        most = max(context - wanted, context // _LEAST_ROOM, 1)
        num_cut = max(len(ids) - most, 0)
        return Prompt(tuple(ids[num_cut:]), num_cut)

    def _ids_of_text(self, text: str) -> list[int]:
        """With the special tokens that the tokenizer puts around a text, but without an end token."""
        ids = list(self.tokenizer(text)["input_ids"])
        if not self.decoder.is_encoder_decoder:
            while len(ids) > 1 and ids[-1] in self.decoder.end_ids and ids[-1] == self.tokenizer.eos_token_id:
                if text.endswith(self.tokenizer.eos_token):
                    break
                ids.pop()
        if not ids and self.tokenizer.bos_token_id is not None:
            ids = [self.tokenizer.bos_token_id]
        return ids

    def _ids_of_conversation(self, messages: Sequence[Message]) -> list[int]:
        if not messages:
            raise RunnerError("The conversation is empty.", "Write something first.")
        if not self.has_chat_template:
            return self._ids_of_text(as_plain_text(messages))
        from jinja2 import TemplateError

        try:
            text = self._templated(messages)
        except TemplateError as error:
            if messages[0]["role"] != "system":
                raise RunnerError(
                    f"The model's chat template refuses this conversation: {error}.",
                    "Most templates want user and assistant in turn; edit the history, or continue it as plain text.",
                ) from error
            text = self._templated(without_system(messages))
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _templated(self, messages: Sequence[Message]) -> str:
        plain = [{"role": each["role"], "content": each["content"]} for each in messages]
        return self.tokenizer.apply_chat_template(plain, tokenize=False, add_generation_prompt=True)

    def close(self) -> None:
        self.decoder = None
        self.tokenizer = None
        self._texts = None


def as_plain_text(messages: Sequence[Message]) -> str:
    """A conversation for a model without a chat template: the contents, one under the other, to be continued."""
    return "\n".join(message["content"] for message in messages)


def without_system(messages: Sequence[Message]) -> list[Message]:
    """The conversation with its system prompt at the head of the first message, for templates without that role."""
    system, *others = messages
    if not others:
        return [{"role": "user", "content": system["content"]}]
    first = {"role": others[0]["role"], "content": f"{system['content']}\n\n{others[0]['content']}"}
    return [first, *others[1:]]
