"""The text of a PDF, page by page, by pypdf."""

from __future__ import annotations

import io
import logging
import re

from engine.errors import TrainingError

MAX_PAGES = 5000
"""Chosen by us: longer than any book, and some minutes of work."""

MAX_STRANGE_SHARE = 0.1
"""More characters than this without a meaning, and the letters were not found. Chosen by us."""

_STRANGE = re.compile(r"[\ufffd\ue000-\uf8ff\x00-\x08\x0e-\x1f]|\(cid:\d+\)|/(?:g|G|uni)?\d+(?=/)")
_HYPHENATED = re.compile(r"(?<=[^\W\d_])(?:-|\u00ad)\n(?=[^\W\d_A-Z])")


def pdf_text(data: bytes, name: str, limit_bytes: int) -> tuple[str, tuple[str, ...]]:
    """The text of all pages, words joined that were divided at line ends. Returns: text, notes.

    Raises: TrainingError if it is encrypted, broken, too long, or nothing but pictures or unreadable letters.
    """
    import pypdf

    logging.getLogger("pypdf").setLevel(logging.ERROR)  # it tells of every flaw that it could get around
    try:
        reader = pypdf.PdfReader(io.BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise TrainingError(f"{name} is locked with a password.", "Save it without one, and choose that file.")
        if len(reader.pages) > MAX_PAGES:
            raise TrainingError(f"{name} has {len(reader.pages)} pages, more than {MAX_PAGES}.", "Divide it.")
        pages, size = [], 0
        for page in reader.pages:
            pages.append(page.extract_text().strip())
            size += len(pages[-1])
            if size > limit_bytes:
                break
    except TrainingError:
        raise
    except Exception as error:  # a damaged file makes pypdf fail in every way that Python has
        raise _broken(name, error) from error
    num_empty = sum(not page for page in pages)
    if num_empty == len(pages):
        raise TrainingError(
            f"{name} holds no text: its {len(pages)} pages are pictures, or empty.",
            "Run text recognition (OCR) over it, and choose the result.",
        )
    text = _HYPHENATED.sub("", "\n".join(page for page in pages if page))
    if len("".join(_STRANGE.findall(text))) > MAX_STRANGE_SHARE * len(text):
        raise TrainingError(
            f"The letters of {name} cannot be read: its fonts do not say what they mean.",
            "Run text recognition (OCR) over it, or find the text in another format.",
        )
    notes = (f"{num_empty:,} of {len(pages):,} pages hold no text (pictures, or empty).",) if num_empty else ()
    return text, notes


def _broken(name: str, error: Exception) -> TrainingError:
    return TrainingError(
        f"{name} is no PDF that can be read ({type(error).__name__}: {str(error)[:120]}).",
        "Open it in a viewer and save it again.",
    )
