"""Small changes to valid files, for fuzzing."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from engine.errors import SourceError
from engine.sources import open as open_source

FUZZ = settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))

NUMBERS = [value.to_bytes(size, "little") for size in (4, 8) for value in (0, 1, 2, 2**31 - 1, 2**31, 2**32 - 1)]
NUMBERS += [value.to_bytes(8, "little") for value in (2**32, 2**48, 2**62, 2**63 - 1, 2**63, 2**64 - 1)]


@st.composite
def mutated(draw, contents: list[bytes]) -> bytes:
    """One of these contents with some bytes set, flipped, dropped, inserted or copied."""
    content = bytearray(draw(st.sampled_from(contents)))
    for _ in range(draw(st.integers(1, 4))):
        if not content:
            break
        at = draw(st.integers(0, len(content) - 1))
        kind = draw(st.sampled_from(["set", "flip", "number", "drop", "cut", "insert", "copy"]))
        if kind == "set":
            content[at] = draw(st.integers(0, 255))
        elif kind == "flip":
            content[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "number":
            number = draw(st.sampled_from(NUMBERS))
            content[at : at + len(number)] = number
        elif kind == "drop":
            del content[at : at + draw(st.integers(1, 40))]
        elif kind == "cut":
            del content[at:]
        elif kind == "insert":
            content[at:at] = draw(st.binary(min_size=1, max_size=20))
        else:
            content[at:at] = content[at : at + draw(st.integers(1, 80))]
    return bytes(content)


def open_and_read_all(path: Path, content: bytes) -> bool:
    """Whether the file opens and reads whole; all that may go wrong is a SourceError with a message and a hint."""
    path.write_bytes(content)
    try:
        with open_source(path) as source:
            assert all(isinstance(text, str) for text in source.metadata.values()) and isinstance(source.config, dict)
            for info in source.infos():
                array = source.read(info.name)
                assert array.shape == info.shape
                if info.shape and info.shape[0]:
                    last = source.read_rows(info.name, info.shape[0] - 1, info.shape[0])
                    assert last.tobytes() == array[-1:].tobytes()
    except SourceError as error:
        assert error.message and error.hint and str(error).isprintable() and len(str(error)) < 2000, str(error)
        return False
    return True
