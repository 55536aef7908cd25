"""What a checkpoint's tokenizer is, read from its JSON files without loading it."""

from __future__ import annotations

from dataclasses import dataclass

from workflows.model_files import MAX_TEXT_BYTES, ModelFiles

_UNBOUNDED = 10**9
"""transformers writes 10³⁰ where a tokenizer knows no limit."""


@dataclass(frozen=True, slots=True)
class TokenizerFacts:
    """A tokenizer at a glance.

    Attributes:
        facts: (name, value) as text, in reading order. special: (token, what it is for, its number) of every special
            token. chat_template: its Jinja text; "" if there is none.
    """

    facts: tuple[tuple[str, str], ...]
    special: tuple[tuple[str, str, str], ...]
    chat_template: str = ""


def tokenizer_facts(files: ModelFiles) -> TokenizerFacts | None:
    """The facts; None if there is no tokenizer.json and no tokenizer_config.json.

    Raises: SourceError where a file is too long or no JSON.
    """
    config, fast = files.json("tokenizer_config.json"), files.json("tokenizer.json")
    if not config and not fast:
        return None
    model = _object(fast.get("model"))
    vocabulary = model.get("vocab")
    facts = [
        ("Kind", _text(model.get("type"))),
        ("Class", _text(config.get("tokenizer_class"))),
        ("Tokens", f"{len(vocabulary):,}" if isinstance(vocabulary, dict | list) else ""),
        ("Merges", f"{len(model['merges']):,}" if isinstance(model.get("merges"), list) else ""),
        ("Added tokens", f"{len(fast['added_tokens']):,}" if isinstance(fast.get("added_tokens"), list) else ""),
        ("Longest input", _limit(config.get("model_max_length"))),
        ("Normaliser", _steps(fast.get("normalizer"), "normalizers")),
        ("Splits by", _steps(fast.get("pre_tokenizer"), "pretokenizers")),
        ("Post-processing", _steps(fast.get("post_processor"), "processors")),
        ("Lower case", _text(config.get("do_lower_case"))),
    ]
    return TokenizerFacts(
        tuple((name, value) for name, value in facts if value), _special(config, fast), _template(config, files)
    )


def _special(config: dict, fast: dict) -> tuple[tuple[str, str, str], ...]:
    uses: dict[str, list[str]] = {}
    for name, value in config.items():
        token = _object(value).get("content", value)
        if name.endswith("_token") and isinstance(token, str):
            uses.setdefault(token, []).append(name.removesuffix("_token"))
    numbers = {}
    for token in fast.get("added_tokens") if isinstance(fast.get("added_tokens"), list) else ():
        fields = _object(token)
        if isinstance(fields.get("content"), str) and (fields.get("special") or fields["content"] in uses):
            numbers[fields["content"][:200]] = str(fields.get("id", ""))[:20]
    names = [*numbers, *(token for token in uses if token not in numbers)][:500]
    return tuple((name, ", ".join(uses.get(name, [])), numbers.get(name, "")) for name in names)


def _template(config: dict, files: ModelFiles) -> str:
    """The chat template: of its own file, else of the config, where there may be several with names."""
    beside = files.text("chat_template.jinja")
    if beside is not None:
        return beside[0]
    given = config.get("chat_template")
    if isinstance(given, list):
        named = [_object(item) for item in given]
        return "\n\n".join(f"{{# {_text(item.get('name'))} #}}\n{_text(item.get('template'))}" for item in named)
    return given[:MAX_TEXT_BYTES] if isinstance(given, str) else ""


def _steps(value: object, inner: str) -> str:
    """The types of a step or of a sequence of steps."""
    step = _object(value)
    steps = step.get(inner) if isinstance(step.get(inner), list) else [step]
    return " → ".join(_text(_object(one).get("type")) for one in steps[:12] if _object(one).get("type"))


def _limit(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    return f"{value:,.0f} tokens" if 0 < value < _UNBOUNDED else "no limit given"


def _object(value: object) -> dict:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return "" if value is None or isinstance(value, dict | list) else str(value)[:MAX_TEXT_BYTES]
