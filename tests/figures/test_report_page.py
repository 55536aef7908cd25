"""Reports escape everything, ask nothing of the network, and are the same bytes for the same document."""

from __future__ import annotations

import io
import re
import zipfile
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from figures.report_document import (
    Bullets,
    Facts,
    Found,
    FoundItem,
    Heading,
    Picture,
    ReportDocument,
    Section,
    Table,
    Words,
    plain,
)
from figures.report_markdown import report_markdown, report_zip
from figures.report_page import report_html

HOSTILE = (
    "<script>alert(1)</script>",
    "</style></title><img src=x onerror=alert(1)>",
    '"><a href="javascript:alert(1)">x</a>',
    "](javascript:alert(1))",
    "![x](https://evil.example/x.png)",
    "<https://evil.example>",
    "https://evil.example www.evil.example me@evil.example",
    "| a | b |\n|---|---|",
    "# title\n- item\n1. one\n---\n=== \n```\ncode",
    "&lt;b&gt; &#60;",
    "`code` ``x`` $x$ *b* _i_ ~~s~~",
    "\u202egnp.exe\u2066 \x00\x1b[31m \ud800",
    "\N{HEBREW LETTER SHIN}\N{HEBREW LETTER LAMED} abc",
)
ALLOWED = {
    *("html", "head", "meta", "title", "style", "body", "main", "header", "nav", "ol", "li", "a", "bdi", "section"),
    *("h1", "h2", "h3", "p", "div", "dl", "dt", "dd", "ul", "table", "thead", "tbody", "tr", "th", "td", "figure"),
    *("wbr", "picture", "source", "img", "figcaption", "span", "strong", "footer"),
}


def document(text: str, picture: Picture | None = None) -> ReportDocument:
    """A report in which every text is `text`."""
    drawn = picture or Picture(
        "01-x", text, Image.new("RGB", (8, 4), "red"), b"<svg xmlns='http://www.w3.org/2000/svg'/>", text
    )
    blocks = (
        Words(text),
        Words(text, "note"),
        Words(text, "warning"),
        Heading(text, text),
        Facts(((text, text),)),
        Bullets((text, text)),
        Table((text, "n"), ((text, "1"), ("b", text)), frozenset({1}), text),
        Found((FoundItem("error", text, text, text), FoundItem("note", text, text))),
        drawn,
    )
    return ReportDocument(text, text, (Section(text, blocks), Section("two", ())), text, text)


class Reader(HTMLParser):
    """Tags, attributes and text as a browser would take them."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append(data)


def read(page: bytes) -> Reader:
    reader = Reader()
    reader.feed(page.decode())
    return reader


def check_harmless(page: bytes) -> None:
    reader = read(page)
    assert {tag for tag, _ in reader.tags} <= ALLOWED
    for _, attributes in reader.tags:
        assert not any(name.startswith("on") or name == "style" for name in attributes)
        for name in ("src", "srcset"):
            assert attributes.get(name, "data:").startswith("data:")
        assert re.fullmatch(r"#s\d+", attributes.get("href", "#s1"))


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text_in_html(text):
    page = report_html(document(text))
    check_harmless(page)
    shown = plain(text)
    assert sum(shown.strip() in piece for piece in read(page).texts) > 10


@given(st.text(max_size=60))
def test_any_text_stays_text_in_html(text):
    check_harmless(report_html(document(text)))


def test_the_page_forbids_scripts_and_requests():
    metas = [attributes for tag, attributes in read(report_html(document("x"))).tags if tag == "meta"]
    policy = next(each["content"] for each in metas if each.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert "img-src data:" in policy
    style = report_html(document("x")).split(b"<style>")[1].split(b"</style>")[0]
    assert b"url(" not in style
    assert b"@import" not in style


def test_every_text_of_others_finds_its_own_direction():
    foreign = "\N{HEBREW LETTER SHIN}\N{HEBREW LETTER LAMED}"
    for tag, attributes in read(report_html(document(foreign))).tags:
        if (
            tag in ("h1", "h2", "h3", "p", "dt", "dd", "li", "td", "th", "figcaption", "footer")
            and "class" not in attributes
        ):
            assert attributes.get("dir") == "auto" or tag == "li"


def unescaped(markdown: str) -> str:
    """What is left of Markdown's markup: everything that is not escaped."""
    return re.sub(r"\\[!-/:-@\[-`{-~]", "", markdown)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text_in_markdown(text):
    left = unescaped(report_markdown(document(text)))
    assert "<" not in left
    assert "`" not in left
    assert re.findall(r"\]\((.*?)\)", left) == ["images/01-x.png"]
    assert not re.search(r"https?:|www\.|@|javascript:", left)
    assert "\u202e" not in left
    titles = [line for line in left.split("\n") if line.startswith("#")]
    assert len(titles) == 4


@given(st.text(max_size=40))
def test_any_text_leaves_tables_and_titles_in_shape(text):
    lines = report_markdown(document(text)).split("\n")
    left = [unescaped(line) for line in lines]
    assert sum(line.startswith("#") for line in left) == 4
    assert {line.count("|") for line in left if line.startswith("| ")} == {3}
    assert not any("\r" in line for line in lines)


def test_right_to_left_text_is_kept_apart_in_markdown():
    word = "\N{HEBREW LETTER SHIN}\N{HEBREW LETTER LAMED}"
    assert f"\u2068{word}\u2069" in report_markdown(document(word))


def test_the_same_document_is_the_same_bytes():
    assert report_html(document("x")) == report_html(document("x"))
    assert report_zip(document("x")) == report_zip(document("x"))


def test_the_zip_holds_the_text_and_the_pictures_it_links_to():
    with zipfile.ZipFile(io.BytesIO(report_zip(document("x")))) as archive:
        assert archive.namelist() == ["report.md", "images/01-x.png"]
        linked = re.findall(r"\]\((.*?)\)", archive.read("report.md").decode())
        assert linked == ["images/01-x.png"]
        assert Image.open(io.BytesIO(archive.read("images/01-x.png"))).getpixel((0, 0)) == (255, 0, 0)
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_pictures_keep_every_pixel():
    pixels = np.random.default_rng(3).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    picture = Picture("p", "", Image.fromarray(pixels), Image.fromarray(pixels[::-1]))
    for is_small in (False, True):
        _, light = picture.encoded(is_small=is_small)
        _, dark = picture.encoded(is_dark=True, is_small=is_small)
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(light)).convert("RGB")), pixels)
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(dark)).convert("RGB")), pixels[::-1])
