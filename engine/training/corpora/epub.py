"""The text of an EPUB: the XHTML files inside its zip, in reading order."""

from __future__ import annotations

import io
import posixpath
import re
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from urllib.parse import unquote

from engine.errors import TrainingError

MAX_MEMBER_BYTES = 32_000_000
"""Of one unpacked chapter; a zip of a few kilobytes can say it holds gigabytes."""

MAX_MEMBERS = 5000
_CONTAINER = "META-INF/container.xml"
_BLOCKS = ("p", "div", "h1", "h2", "h3", "h4", "h5", "h6", "li", "blockquote", "pre", "tr", "section", "article")
_LEFT_OUT = ("script", "style", "svg", "nav", "head", "template")
_XHTML = frozenset({"application/xhtml+xml", "text/html", "application/x-dtbook+xml"})


def epub_text(data: bytes, name: str, limit_bytes: int) -> tuple[str, tuple[str, ...]]:
    """The chapters in the order of the book's spine, paragraphs apart by blank lines. Returns: text, notes.

    No entity is resolved, nothing is fetched, and no part is unpacked beyond MAX_MEMBER_BYTES.

    Raises: TrainingError if it is no EPUB, damaged, protected, or holds no text.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _check(archive, name)
            chapters, size = [], 0
            for member in _spine(archive, name):
                chapters.append(_chapter(_read(archive, member, name)))
                size += len(chapters[-1].encode(errors="replace"))
                if size > limit_bytes:
                    break
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError) as error:
        raise _broken(name, str(error)[:120]) from error
    text = "\n\n".join(filter(None, chapters))
    if not text.strip():
        raise TrainingError(f"{name} holds no text: its {len(chapters)} chapters are pictures, or empty.", "")
    return text, ()


def _check(archive: zipfile.ZipFile, name: str) -> None:
    members = {member.filename for member in archive.infolist()}
    if len(members) > MAX_MEMBERS:
        raise _broken(name, f"it holds more than {MAX_MEMBERS} files")
    protected = "META-INF/encryption.xml" in members and "META-INF/rights.xml" in members
    if protected or "META-INF/sinf.xml" in members:
        raise TrainingError(f"{name} is protected by its seller (DRM).", "Choose a copy without protection.")


def _spine(archive: zipfile.ZipFile, name: str) -> Iterator[str]:
    """Names of the chapters in the zip, in reading order."""
    rootfile = _xml(_read(archive, _CONTAINER, name), name).find(".//{*}rootfile")
    if rootfile is None or not rootfile.get("full-path"):
        raise _broken(name, "it does not say where its contents are listed")
    package = unquote(rootfile.get("full-path"))
    tree = _xml(_read(archive, package, name), name)
    manifest = {item.get("id"): item for item in tree.iterfind(".//{*}manifest/{*}item")}
    members = {member.filename for member in archive.infolist()}
    num_missing = num_chapters = 0
    for reference in tree.iterfind(".//{*}spine/{*}itemref"):
        item = manifest.get(reference.get("idref"))
        if item is None or item.get("media-type") not in _XHTML or "nav" in (item.get("properties") or "").split():
            continue
        folder = posixpath.dirname(package)
        member = posixpath.normpath(posixpath.join(folder, unquote((item.get("href") or "").partition("#")[0])))
        num_chapters += 1
        if member in members:
            yield member
        else:
            num_missing += 1
    if num_chapters == 0 or num_missing:
        raise _broken(name, f"{num_missing} of {num_chapters} chapters are not in it")


def _read(archive: zipfile.ZipFile, member: str, name: str) -> bytes:
    """One file of the zip, unpacked only as far as is allowed."""
    try:
        with archive.open(member) as file:
            data = file.read(MAX_MEMBER_BYTES + 1)
    except KeyError as error:
        raise _broken(name, f"{member} is not in it") from error
    if len(data) > MAX_MEMBER_BYTES:
        raise _broken(name, f"{member[:80]} unpacks to more than {MAX_MEMBER_BYTES // 1_000_000} MB")
    return data


def _xml(data: bytes, name: str):
    """An lxml tree of one of the book's lists; entities stay as they are, and nothing is loaded."""
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        return etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise _broken(name, str(error)[:120]) from error


def _chapter(data: bytes) -> str:
    """The text of an XHTML file: one line a block, a blank line between blocks, white space as a browser shows it."""
    from bs4 import BeautifulSoup, XMLParsedAsHTMLWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", XMLParsedAsHTMLWarning)  # the HTML parser forgives, and knows no entities
        soup = BeautifulSoup(data, "lxml")
    body = soup.body or soup
    for element in body.find_all(_LEFT_OUT):
        element.decompose()
    for element in body.find_all("br"):
        element.replace_with("\x0b")
    for element in body.find_all(_BLOCKS):
        element.insert_before("\x0c")
        element.insert_after("\x0c")
    text = body.get_text()
    blocks = (re.sub(r"[^\S\x0b]+", " ", block).replace(" \x0b", "\x0b") for block in text.split("\x0c"))
    return "\n\n".join(filter(None, (block.replace("\x0b ", "\n").replace("\x0b", "\n").strip() for block in blocks)))


def _broken(name: str, why: str) -> TrainingError:
    return TrainingError(f"{name} is no EPUB that can be read: {why}.", "Open it in a reader and save it again.")
