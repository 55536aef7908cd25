"""Cards, tokenizers and files by anyone: what is shown of them is bounded and safe."""

import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

import engine.sources
from engine.errors import MalformedHeaderError, SourceError
from workflows.model_card import MAX_FRONT_MATTER, parse_card, safe_markdown
from workflows.model_files import ModelFiles
from workflows.tokenizer_facts import tokenizer_facts

CARD = """---
license: apache-2.0
tags:
- text
- small
model-index:
- name: x
  results: [{a: 1}]
empty:
---
# Title

Text with `code <b>` and <b>bold</b>.
"""


def test_the_front_matter_becomes_rows_and_the_licence():
    card = parse_card(CARD)
    assert dict(card.facts) == {"license": "apache-2.0", "tags": "text, small", "model-index": "1 entries", "empty": ""}
    assert card.licence == "apache-2.0"
    assert card.body == "### Title\n\nText with `code <b>` and bold."


def test_a_licence_of_ones_own_goes_by_its_name():
    assert parse_card("---\nlicense: other\nlicense_name: deepseek\n---\n").licence == "deepseek"
    assert parse_card("no front matter").licence == ""


@pytest.mark.parametrize(
    "front",
    [
        "a: [",
        "- a\n- b",
        "just text",
        "a: !!python/object/apply:os.system ['true']",
        "a: " + "x" * MAX_FRONT_MATTER,
        "[" * 5000,
    ],
)
def test_front_matter_that_is_no_plain_yaml_is_said_and_the_text_still_shown(front):
    card = parse_card(f"---\n{front}\n---\nBody.")
    assert card.problem and card.facts == () and card.body == "Body."


def test_aliases_do_not_unfold():
    bomb = "a: &a [x, x]\n" + "\n".join(
        f"a{n}: &a{n} [*a{n - 1 if n else ''}, *a{n - 1 if n else ''}]" for n in range(30)
    )
    card = parse_card(f"---\n{bomb.replace('*a-1', '*a')}\n---\n")
    assert sum(len(value) for _, value in card.facts) < 20_000


@pytest.mark.parametrize(
    "text",
    [
        "![logo](https://evil.example/x.png)",
        "![logo][ref]\n\n[ref]: https://evil.example/x.png",
        "[![badge](https://evil.example/b.svg)](https://example.org)",
        "<img src='https://evil.example/x.png'>",
        "<p align=center><img\nsrc=https://evil.example/x></p>",
        "!![a](https://evil.example/x)",
        "!!![a](https://evil.example/x)",
        "!<b>[a](https://evil.example/x)",
        "!<!-- -->[a](https://evil.example/x)",
        "`open ![a](https://evil.example/x)",
        "```\n![a](https://evil.example/x)",
        "~~~ ![a](https://evil.example/x)",
        "``a` ![x](https://evil.example/x) `b``",
        "<script>fetch('https://evil.example')</script>text",
        "<iframe src=https://evil.example></iframe>",
    ],
)
def test_nothing_in_a_card_is_fetched(text):
    safe = safe_markdown(text)
    assert "![" not in safe
    html = MarkdownIt("commonmark", {"html": False}).render(safe)
    assert not re.search(r"<(img|script|iframe|svg|object|link|style)\b", html)


def test_images_become_links_and_relative_links_their_text():
    assert safe_markdown("![plot](https://a.example/p.png)") == "[plot](https://a.example/p.png)"
    assert safe_markdown("![](https://a.example/p.png)") == "[image](https://a.example/p.png)"
    assert safe_markdown("[guide](docs/guide.md) and [run](javascript:alert(1))")[:5] == "guide"
    assert "javascript:" not in MarkdownIt().render(safe_markdown("[run](javascript:alert)"))
    assert safe_markdown("<https://a.example>") == "https://a.example"
    assert safe_markdown("a<br/>b") == "a  \nb"


def test_code_stays_as_it_is():
    code = "```python\n# comment\nx = '<s>' + '<b>'\n```"
    assert safe_markdown(code) == code
    assert safe_markdown("use `<s>` and `[x](y)`") == "use `<s>` and `[x](y)`"


@given(st.text(alphabet="![]()<>`~\n #abc:/-", max_size=120))
def test_no_text_at_all_makes_an_image_or_markup(text):
    html = MarkdownIt("commonmark", {"html": False}).render(safe_markdown(text))
    assert "<img" not in html


@pytest.fixture
def folder(tmp_path, write_safetensors):
    write_safetensors(tmp_path / "m" / "model.safetensors", {"w": np.zeros((2, 2), np.float32)})
    return tmp_path / "m"


def files_of(path):
    return ModelFiles(engine.sources.open(path))


def test_files_are_listed_with_their_sizes_and_hidden_ones_left_out(folder):
    (folder / "README.md").write_text("hello")
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("x")
    (folder / "sub").mkdir()
    (folder / "sub" / "a.txt").write_text("ab")
    listed = {file.name: file.num_bytes for file in files_of(folder).listed()}
    assert listed["README.md"] == 5 and listed["sub/a.txt"] == 2
    assert set(listed) == {"README.md", "sub/a.txt", "model.safetensors"}
    assert files_of(folder).text("README.md") == ("hello", False)
    assert files_of(folder).text("README.md", limit=3) == ("hel", True)
    assert files_of(folder).text("no.md") is None


def test_a_lone_file_does_not_take_its_neighbours_card(folder):
    (folder / "README.md").write_text("of somebody else")
    lone = files_of(folder / "model.safetensors")
    assert lone.text("README.md") is None
    assert [file.name for file in lone.listed()] == ["model.safetensors"]
    (folder / "config.json").write_text("{}")
    assert files_of(folder / "model.safetensors").text("README.md") == ("of somebody else", False)


def write_json(path, value):
    path.write_text(json.dumps(value))


def test_a_tokenizer_is_told_from_its_files(folder):
    write_json(
        folder / "tokenizer.json",
        {
            "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]},
            "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Lowercase"}]},
            "pre_tokenizer": {"type": "ByteLevel"},
            "added_tokens": [{"id": 3, "content": "<s>", "special": True}, {"id": 4, "content": "x", "special": False}],
        },
    )
    write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "Fast",
            "model_max_length": 10**30,
            "bos_token": "<s>",
            "eos_token": {"content": "<s>"},
            "chat_template": "{{ messages }}",
        },
    )
    found = tokenizer_facts(files_of(folder))
    facts = dict(found.facts)
    assert (facts["Kind"], facts["Tokens"], facts["Merges"], facts["Class"]) == ("BPE", "3", "1", "Fast")
    assert facts["Normaliser"] == "NFC → Lowercase" and facts["Longest input"] == "no limit given"
    assert found.special == (("<s>", "bos, eos", "3"),)
    assert found.chat_template == "{{ messages }}"
    (folder / "chat_template.jinja").write_text("{# of its own file #}")
    assert tokenizer_facts(files_of(folder)).chat_template == "{# of its own file #}"


def test_several_chat_templates_are_shown_with_their_names(folder):
    templates = [{"name": "default", "template": "A"}, {"name": "tool", "template": "B"}]
    write_json(folder / "tokenizer_config.json", {"chat_template": templates})
    assert tokenizer_facts(files_of(folder)).chat_template == "{# default #}\nA\n\n{# tool #}\nB"


@pytest.mark.parametrize(
    "value",
    [
        {"model": 3},
        {"model": {"vocab": 3, "merges": 4, "type": []}},
        {"added_tokens": 3},
        {"added_tokens": [1, {"content": 4}, {}]},
        {"normalizer": [1], "pre_tokenizer": "x", "post_processor": {"type": 4}},
    ],
)
def test_odd_tokenizer_files_are_no_crash(folder, value):
    write_json(folder / "tokenizer.json", value)
    write_json(folder / "tokenizer_config.json", {"model_max_length": "x", "chat_template": 3, "bos_token": 5})
    assert tokenizer_facts(files_of(folder)) is not None


def test_no_tokenizer_is_none_and_a_broken_one_says_why(folder):
    assert tokenizer_facts(files_of(folder)) is None
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(MalformedHeaderError):
        tokenizer_facts(files_of(folder))
    (folder / "tokenizer.json").write_text("[]")
    with pytest.raises(SourceError):
        tokenizer_facts(files_of(folder))


def test_a_file_that_is_too_long_is_not_read(folder):
    (folder / "tokenizer.json").write_text("{}" + " " * 100)
    with pytest.raises(SourceError, match="longer"):
        files_of(folder).json("tokenizer.json", limit=50)
