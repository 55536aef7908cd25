"""Text comes out of every kind of file, and nothing else is ever taken for text."""

from __future__ import annotations

import codecs
import gzip
import io
import json
import random
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import TrainingError
from engine.training.corpora import epub, extraction, pdf
from engine.training.corpora.extraction import FORMATS, extract

RUSSIAN = "Привет, как дела? Это русский текст, который надо прочитать правильно. Анна смотрела на снег и молчала.\n"
CHINESE = "今天天气很好，我们去公园散步。路上遇见了一位老朋友，他说他刚从北京回来，带了很多书。\n"
ARABIC = "اليوم الطقس جميل جدا، ذهبنا إلى الحديقة ومشينا قليلا. في الطريق قابلنا صديقا قديما وتحدثنا معه طويلا.\n"
GERMAN = "Der Bär läuft über die Straße – „schön“, sagte Müller, „aber für heute genügt’s.“ Größe und Maße.\n"
JAPANESE = "今日は天気がとても良いので、公園へ散歩に行きました。途中で古い友達に会いました。\n"
GREEK = "Καλημέρα, τι κάνετε σήμερα; Ο καιρός είναι πολύ καλός και θα πάμε στη θάλασσα με τους φίλους μας.\n"


def text_of(extracted) -> str:
    return "\n\n".join(document.text for document in extracted.documents)


# Encodings


@pytest.mark.parametrize(
    ("text", "encoding", "shown"),
    [
        (RUSSIAN, "utf-8", "utf-8"),
        (RUSSIAN, "cp1251", "cp1251"),
        (RUSSIAN, "koi8-r", "koi8_r"),
        (CHINESE, "gb18030", "gb18030"),
        (CHINESE, "gbk", "gb18030"),
        (ARABIC, "cp1256", "cp1256"),
        (ARABIC, "utf-8", "utf-8"),
        (GERMAN, "cp1252", "cp1252"),
        (JAPANESE, "cp932", "cp932"),
        (GREEK, "cp1253", "cp1253"),
        (RUSSIAN, "utf-8-sig", "utf-8-sig"),
        (CHINESE, "utf-16", "utf-16"),
        (GERMAN, "utf-16-le", "utf-16-le"),
        (GERMAN, "utf-16-be", "utf-16-be"),
        (GERMAN, "utf-32", "utf-32"),
        (GERMAN, "utf-32-be", "utf-32-be"),
        ("plain\n", "ascii", "utf-8"),
    ],
)
@pytest.mark.parametrize("times", [1, 30])
def test_the_encoding_is_found_and_shown(text, encoding, shown, times):
    extracted = extract((text * times).encode(encoding), "a.txt")
    assert text_of(extracted) == text * times
    assert extracted.encoding == shown


@pytest.mark.parametrize("codec", ["big", "little"])
def test_marks_of_byte_order_are_no_text(codec):
    mark, encoding = (codecs.BOM_UTF16_BE, "utf-16-be") if codec == "big" else (codecs.BOM_UTF16_LE, "utf-16-le")
    assert text_of(extract(mark + GERMAN.encode(encoding), "a.txt")) == GERMAN


def test_letters_that_come_late_in_a_long_file_still_tell_its_encoding():
    text = "Nothing but plain letters on this line.\n" * 20_000 + GERMAN * 3
    extracted = extract(text.encode("cp1252"), "a.txt")
    assert text_of(extracted) == text


@given(text=st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Co", "Cn")), min_size=1))
def test_utf8_comes_back_whatever_it_says(text):
    if text.strip() and text[0] != "\ufeff" and extraction.END_OF_TEXT not in text:
        assert text_of(extract(text.encode(), "a.txt")) == text


@pytest.mark.parametrize("newline", ["\r\n", "\r", "\n"])
def test_line_ends_are_line_feeds(newline):
    assert text_of(extract(f"one{newline}two{newline}{newline}three".encode(), "a.md")) == "one\ntwo\n\nthree"


@pytest.mark.parametrize(
    "data",
    [
        random.Random(1).randbytes(4000),
        gzip.compress(b"text" * 100) * 20,
        b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8,
        b"%PDF-1.7\n" + bytes(range(256)) * 8,
        bytes(5000),
        b"\xff\xfe\x00\xd8\x00\xd8",
        b"\x7fELF\x02\x01\x01" + bytes(200) + random.Random(2).randbytes(500),
    ],
    ids=["noise", "gzip", "png", "pdf", "zeros", "broken UTF-16", "elf"],
)
def test_binary_data_called_text_is_refused(data):
    with pytest.raises(TrainingError, match=r"a\.txt is no text"):
        extract(data, "a.txt")


# Plain text and Markdown


def test_markdown_keeps_its_marks():
    text = "# Title\n\nA *word* and a [link](http://x).\n\n```python\nx = 1\n```\n"
    extracted = extract(text.encode(), "notes.md")
    assert (text_of(extracted), extracted.format, extracted.documents[0].name) == (text, "md", "notes.md")


def test_documents_are_divided_where_end_of_text_is_written():
    extracted = extract(b"one\n<|endoftext|>\ntwo\n<|endoftext|>\n\n", "stories.txt")
    assert [(document.name, document.text) for document in extracted.documents] == [
        ("stories.txt 1", "one"),
        ("stories.txt 2", "two"),
    ]


@pytest.mark.parametrize("name", [f"a{ending}" for ending in FORMATS])
@pytest.mark.parametrize("data", [b"", b" \n\t\n "])
def test_an_empty_file_of_any_format_is_an_error(name, data):
    with pytest.raises(TrainingError, match=r"a\.\w+ "):
        extract(data, name)


@pytest.mark.parametrize("name", ["a.docx", "a", "a.txt.exe", ""])
def test_an_unknown_ending_names_those_that_are_known(name):
    with pytest.raises(TrainingError, match="ending") as caught:
        extract(b"text", name)
    assert ".epub" in caught.value.hint


def test_a_path_is_read_and_a_missing_one_named(tmp_path):
    (tmp_path / "a.TXT").write_text("hello", encoding="utf-8")
    assert text_of(extract(tmp_path / "a.TXT")) == "hello"
    with pytest.raises(TrainingError, match=r"missing\.txt cannot be read"):
        extract(tmp_path / "missing.txt")


def test_too_large_a_file_and_too_much_text_are_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(extraction, "MAX_FILE_BYTES", 2_000_000)
    with pytest.raises(TrainingError, match="larger than 2 MB"):
        extract(b"x" * 2_000_001, "a.txt")
    (tmp_path / "a.txt").write_bytes(b"x" * 2_000_001)
    with pytest.raises(TrainingError, match="larger than 2 MB"):
        extract(tmp_path / "a.txt")
    monkeypatch.setattr(extraction, "MAX_TEXT_BYTES", 1_000_000)
    with pytest.raises(TrainingError, match="more than 1 MB of text"):
        extract(b"x" * 1_000_001, "a.txt")


# Tables

ROWS = [("1", "A first text, with a comma."), ("2", 'A "quoted" text\nover two lines.'), ("3", "")]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("header", ["id{0}text\n", "number{0}remark\n", ""])
def test_the_text_column_of_a_table_is_found(separator, header):
    quoted = "".join('{}{}"{}"\n'.format(number, separator, text.replace('"', '""')) for number, text in ROWS)
    extracted = extract((header.format(separator) + quoted).encode(), "table.csv")
    assert [document.text for document in extracted.documents] == [text for _, text in ROWS[:2]]
    assert any("column" in note for note in extracted.notes)
    assert any("1 of 3 rows" in note for note in extracted.notes)


def test_a_column_may_be_chosen_and_a_wrong_one_names_those_there_are():
    data = b"title,text\nshort title,a long text of many words\nother title,more text of words\n"
    assert text_of(extract(data, "a.csv", "title")) == "short title\n\nother title"
    with pytest.raises(TrainingError, match="no column 'body'") as caught:
        extract(data, "a.csv", "body")
    assert "'title', 'text'" in caught.value.hint


@pytest.mark.parametrize("data", [b"a,b\n1,2\n3,4\n", b"when,price\n2024-01-01,3.5\n2024-01-02,4.5\n"])
def test_a_table_of_numbers_has_no_text(data):
    with pytest.raises(TrainingError, match="No column"):
        extract(data, "a.csv")


def test_a_cell_may_hold_a_whole_book():
    book = "A sentence of the book. " * 20_000
    assert text_of(extract(f'id,text\n1,"{book}"\n'.encode(), "a.csv")) == book


def test_json_lines_give_their_text_and_their_strings():
    lines = [{"id": 1, "text": "one\ntwo"}, {"id": 2, "text": None}, {"id": 3}, {"text": "three"}]
    extracted = extract("\n\n".join(map(json.dumps, lines)).encode(), "a.jsonl")
    assert [document.text for document in extracted.documents] == ["one\ntwo", "three"]
    assert text_of(extract(b'"just a string"\n"and another"', "a.jsonl")) == "just a string\n\nand another"


def test_a_line_that_is_no_json_is_named():
    with pytest.raises(TrainingError, match=r"Line 2 of a\.jsonl"):
        extract(b'{"text": "fine"}\n{"text": \n', "a.jsonl")
    with pytest.raises(TrainingError, match="Line 1"):
        extract(b"[" * 100_000, "a.jsonl")


def test_half_a_character_of_json_becomes_a_mark():
    extracted = extract(b'{"text": "broken \\ud83d here"}', "a.jsonl")
    assert text_of(extracted) == "broken \ufffd here"
    text_of(extracted).encode()


def test_texts_without_spaces_are_texts_too():
    line = json.dumps({"kind": "x y z", "n": 1, "zh": CHINESE.strip()})
    assert text_of(extract(line.encode(), "a.jsonl")) == CHINESE.strip()


# PDF


def pdf_bytes(pages: list[str]) -> bytes:
    """A PDF of lines of text in Helvetica, written by hand."""
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b"", b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"]
    kids = []
    for page in pages:
        lines = b" ".join(b"(" + line.encode() + b") Tj T*" for line in page.split("\n") if line)
        stream = b"BT /F1 12 Tf 14 TL 50 700 Td " + lines + b" ET" if lines else b""
        objects.append(b"<< /Length %d >>\nstream\n" % len(stream) + stream + b"\nendstream")
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents %d 0 R" % len(objects)
            + b" /Resources << /Font << /F1 3 0 R >> >> >>"
        )
        kids.append(b"%d 0 R" % len(objects))
    objects[1] = b"<< /Type /Pages /Kids [" + b" ".join(kids) + b"] /Count %d >>" % len(pages)
    data, places = b"%PDF-1.4\n", []
    for number, one in enumerate(objects, 1):
        places.append(len(data))
        data += b"%d 0 obj\n" % number + one + b"\nendobj\n"
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    end = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1) + table
    trailer = b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, len(data))
    return data + end + trailer


def test_the_pages_of_a_pdf_follow_each_other_and_divided_words_join():
    extracted = extract(pdf_bytes(["The first line\nis exam-\nple text.", "The second page."]), "book.pdf")
    assert text_of(extracted) == "The first line\nis example text.\nThe second page."
    assert (extracted.format, extracted.encoding, extracted.documents[0].name) == ("pdf", "", "book.pdf")


def test_pages_without_text_are_told_and_a_pdf_of_nothing_else_is_refused():
    extracted = extract(pdf_bytes(["Some text.", "", ""]), "a.pdf")
    assert extracted.notes == ("2 of 3 pages hold no text (pictures, or empty).",)
    with pytest.raises(TrainingError, match="holds no text") as caught:
        extract(pdf_bytes(["", ""]), "scan.pdf")
    assert "OCR" in caught.value.hint


def test_a_pdf_with_a_password_is_refused():
    from pypdf import PdfReader, PdfWriter

    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(pdf_bytes(["secret"]))))
    writer.encrypt("word", algorithm="RC4-128")
    file = io.BytesIO()
    writer.write(file)
    with pytest.raises(TrainingError, match="password"):
        extract(file.getvalue(), "a.pdf")


@pytest.mark.parametrize(
    "data", [b"%PDF-1.4\nnothing", b"no pdf at all", pdf_bytes(["text"])[:200], b"%PDF-1.4\n" * 99]
)
def test_a_broken_pdf_is_refused(data):
    with pytest.raises(TrainingError, match=r"a\.pdf"):
        extract(data, "a.pdf")


@given(seed=st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_a_damaged_pdf_gives_text_or_a_clear_error(seed):
    draw = random.Random(seed)
    data = bytearray(pdf_bytes(["Some text that is long enough.", "More of it."]))
    for _ in range(draw.randint(1, 20)):
        data[draw.randrange(len(data))] = draw.randrange(256)
    try:
        assert text_of(extract(bytes(data), "a.pdf")).strip()
    except TrainingError as error:
        assert "a.pdf" in error.message


def test_letters_without_a_meaning_are_no_text(monkeypatch):
    with pytest.raises(TrainingError, match="fonts"):
        extract(pdf_bytes(["\\(cid:12\\)\\(cid:31\\)\\(cid:7\\) x"]), "a.pdf")


def test_a_pdf_of_too_many_pages_is_refused(monkeypatch):
    monkeypatch.setattr(pdf, "MAX_PAGES", 2)
    with pytest.raises(TrainingError, match="3 pages"):
        extract(pdf_bytes(["a", "b", "c"]), "a.pdf")


# EPUB

CONTAINER = (
    '<?xml version="1.0"?><container xmlns="urn:oasis:names:tc:opendocument:xmlns:container">'
    '<rootfiles><rootfile full-path="OEBPS/content.opf"/></rootfiles></container>'
)


def chapter(body: str) -> str:
    return f'<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><head><title>T</title></head>{body}</html>'


def epub_bytes(
    chapters: dict[str, str], spine: list[str] | None = None, extra: dict[str, str | bytes] | None = None
) -> bytes:
    """An EPUB of chapters (path in the book -> XHTML), read in the order of the spine."""
    items = "".join(
        f'<item id="i{number}" href="{path}" media-type="application/xhtml+xml"/>'
        for number, path in enumerate(chapters)
    )
    order = list(chapters)
    references = "".join(f'<itemref idref="i{order.index(path)}"/>' for path in (spine or order))
    package = (
        f'<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf"><manifest>{items}'
        f'<item id="toc" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>'
        f'</manifest><spine>{references}<itemref idref="toc"/></spine></package>'
    )
    files = {"mimetype": "application/epub+zip", "META-INF/container.xml": CONTAINER, "OEBPS/content.opf": package}
    files |= {f"OEBPS/{path}".replace("%20", " "): text for path, text in chapters.items()} | (extra or {})
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return file.getvalue()


def test_an_epub_is_read_in_the_order_of_its_spine_paragraph_by_paragraph():
    chapters = {
        "b.xhtml": chapter("<body><h1>Two</h1><p>The&#160;end,\n   really.</p><script>bad()</script></body>"),
        "a%20b.xhtml": chapter(
            "<body><h1>One</h1><div><p>It <i>was</i> a night.<br/>Dark.</p><p>Then&mdash;</p></div></body>"
        ),
    }
    extracted = extract(epub_bytes(chapters, ["a%20b.xhtml", "b.xhtml"]), "book.epub")
    assert text_of(extracted) == "One\n\nIt was a night.\nDark.\n\nThen—\n\nTwo\n\nThe end, really."
    assert extracted.format == "epub"


def test_no_entity_of_an_epub_reads_a_file_or_grows(tmp_path):
    (tmp_path / "secret.txt").write_text("the secret")
    bomb = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 9))
    document = (
        f'<!DOCTYPE html [<!ENTITY l0 "laugh">{bomb}<!ENTITY x SYSTEM "{(tmp_path / "secret.txt").as_uri()}">]>'
        '<html xmlns="http://www.w3.org/1999/xhtml"><body><p>Seen &x; and &l8; here.</p></body></html>'
    )
    text = text_of(extract(epub_bytes({"a.xhtml": document}), "a.epub"))
    assert "secret" not in text
    assert "laugh" not in text
    assert len(text) < 500


def test_an_entity_of_an_epubs_lists_reads_no_file(tmp_path):
    (tmp_path / "secret.txt").write_text("OEBPS/content.opf")
    uri = (tmp_path / "secret.txt").as_uri()
    container = CONTAINER.replace("?>", f'?><!DOCTYPE c [<!ENTITY x SYSTEM "{uri}">]>', 1)
    container = container.replace('"OEBPS/content.opf"', '"&x;"')
    with pytest.raises(TrainingError, match="no EPUB"):
        extract(epub_bytes({"a.xhtml": chapter("<p>text</p>")}, extra={"META-INF/container.xml": container}), "a.epub")


def test_a_zip_bomb_is_not_unpacked(monkeypatch):
    monkeypatch.setattr(epub, "MAX_MEMBER_BYTES", 1_000_000)
    data = epub_bytes({"a.xhtml": chapter("<p>" + "a" * 5_000_000 + "</p>")})
    assert len(data) < 20_000
    with pytest.raises(TrainingError, match="unpacks to more than 1 MB"):
        extract(data, "a.epub")


def test_many_chapters_that_unpack_to_too_much_are_refused(monkeypatch):
    monkeypatch.setattr(extraction, "MAX_TEXT_BYTES", 1_000_000)
    chapters = {f"{number}.xhtml": chapter("<p>" + "a" * 300_000 + "</p>") for number in range(9)}
    with pytest.raises(TrainingError, match="more than 1 MB of text"):
        extract(epub_bytes(chapters), "a.epub")


@pytest.mark.parametrize(
    "data",
    [
        b"PK\x03\x04 no zip",
        epub_bytes({"a.xhtml": chapter("<p>text</p>")})[:-40],
        epub_bytes({"a.xhtml": chapter("<p>text</p>")}, extra={"META-INF/container.xml": "<container/>"}),
        epub_bytes({"a.xhtml": chapter("<p>text</p>")}, extra={"META-INF/container.xml": "no xml"}),
        epub_bytes(
            {"a.xhtml": chapter("<p>text</p>")}, extra={"META-INF/rights.xml": "", "META-INF/encryption.xml": ""}
        ),
        epub_bytes({"a.xhtml": chapter("<body><img src='x.png'/></body>")}),
        epub_bytes({}),
    ],
    ids=["no zip", "cut off", "no root file", "no xml", "protected", "pictures", "no chapters"],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_broken_or_empty_epub_is_refused(data):
    with pytest.raises(TrainingError, match=r"a\.epub"):
        extract(data, "a.epub")


def test_an_epub_that_lacks_a_chapter_is_refused():
    data = epub_bytes({"a.xhtml": chapter("<p>text</p>"), "b.xhtml": chapter("<p>more</p>")})
    smaller = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as whole, zipfile.ZipFile(smaller, "w") as archive:
        for name in whole.namelist():
            if not name.endswith("b.xhtml"):
                archive.writestr(name, whole.read(name))
    with pytest.raises(TrainingError, match="1 of 2 chapters"):
        extract(smaller.getvalue(), "a.epub")
