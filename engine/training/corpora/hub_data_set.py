"""Text of a data set on the hub, streamed by `datasets`; no code of the data set is ever run."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from engine.errors import AccessDeniedError, HubError, TrainingError
from engine.training.corpora.encodings import plain
from engine.training.corpora.tables import text_column
from engine.training.corpus import Document

MAX_HUB_BYTES = 64_000_000
"""Of text taken from one data set, whatever number of documents is asked for: some are terabytes."""

_LOOKED_AT = 100
"""Rows by which the text column is chosen."""

_NAME = re.compile(r"[\w.-]+/[\w.-]+(/[\w.+-]+)?(@[\w./-]+)?")


@dataclass(frozen=True, slots=True)
class DataSetName:
    """A data set on the hub: `owner/name`, one of its configurations or "", at a branch, tag or commit."""

    repository: str
    configuration: str = ""
    revision: str = "main"

    @classmethod
    def parse(cls, text: str) -> DataSetName:
        """From `owner/name`, `owner/name/configuration`, each with or without `@revision`. Raises: TrainingError."""
        plain_name = text.removeprefix("hub:").removeprefix("hf://").removeprefix("datasets/")
        if not _NAME.fullmatch(plain_name) or ".." in plain_name:
            raise TrainingError(
                f"{text[:200]!r} is no name of a data set on the hub.", "Write owner/name or owner/name/configuration."
            )
        path, _, revision = plain_name.partition("@")
        owner, name, *configuration = path.split("/")
        return cls(f"{owner}/{name}", "".join(configuration), revision or "main")

    def __str__(self) -> str:
        name = f"{self.repository}/{self.configuration}" if self.configuration else self.repository
        return name if self.revision == "main" else f"{name}@{self.revision}"


def hub_documents(
    name: str, split: str = "", column: str = "", limit: int = 0, *, token: str | None = None
) -> Iterator[Document]:
    """The texts of a data set, one document a row, as they arrive; nothing but what is read is downloaded.

    Args:
        name: `owner/name`, `owner/name/configuration`, each with or without `@revision`.
        split: "" for "train". column: "" for the likeliest text column. limit: documents at the most, 0 for all up to
        MAX_HUB_BYTES of text. token: for gated and private ones; None for HF_TOKEN. It is kept nowhere.
    Raises: TrainingError if there is no such data set, split, configuration or text column, or it wants to run code;
        AccessDeniedError; HubError if the hub cannot be reached.
    """
    asked = DataSetName.parse(name)
    with _data_set_errors(asked):
        rows = _rows(asked, split or "train", token)
        first = list(itertools.islice(rows, _LOOKED_AT))
    if not first:
        raise TrainingError(f"Split {split or 'train'!r} of {asked} is empty.", "Choose another split.")
    chosen = text_column(first, str(asked), column)
    num_documents = num_bytes = 0
    with _data_set_errors(asked):
        for number, row in enumerate(itertools.chain(first, rows), 1):
            text = row.get(chosen)
            if not isinstance(text, str) or not text.strip():
                continue
            document = Document(f"{asked.repository} {number}", plain(text, f"Row {number} of {asked}"))
            num_documents, num_bytes = num_documents + 1, num_bytes + len(document.text.encode())
            if num_bytes > MAX_HUB_BYTES and num_documents > 1:
                return
            yield document
            if num_documents == limit:
                return
    if not num_documents:
        raise TrainingError(f"Column {chosen!r} of {asked} is empty.", "Name another column.")


def _rows(asked: DataSetName, split: str, token: str | None) -> Iterator[dict[str, object]]:
    import datasets

    data_set = datasets.load_dataset(
        asked.repository,
        asked.configuration or None,
        split=split,
        streaming=True,
        revision=asked.revision,
        token=token,
    )
    return iter(data_set)


@contextmanager
def _data_set_errors(asked: DataSetName) -> Iterator[None]:
    """Turn what `datasets` raises into errors that say what to do."""
    from datasets.exceptions import DatasetNotFoundError, DatasetsError
    from huggingface_hub.errors import HfHubHTTPError

    try:
        yield
    except (TrainingError, AccessDeniedError, HubError):
        raise
    except DatasetNotFoundError as error:
        raise _not_found(asked, error) from error
    except HfHubHTTPError as error:
        raise _refusal(asked, error.response.status_code) from error
    except (ConnectionError, TimeoutError) as error:
        raise HubError(
            f"The hub cannot be reached for {asked}: {_words(error)}.", "Check the network and try again."
        ) from error
    except (DatasetsError, ValueError, RuntimeError, KeyError, OSError, TypeError, ImportError) as error:
        raise TrainingError(
            f"The data set {asked} cannot be read: {_words(error)}.",
            "Check its split and configuration (owner/name/configuration); its page on the hub shows them.",
        ) from error


def _not_found(asked: DataSetName, error: Exception) -> Exception:
    if "gated" in str(error):
        return AccessDeniedError(
            f"The data set {asked} is gated: its owner wants terms to be accepted first.",
            f"Accept them at https://huggingface.co/datasets/{asked.repository}, then give a token of that account.",
        )
    return TrainingError(
        f"The hub has no data set {asked}, or it is private ({_words(error)}).",
        "Check the spelling; a private data set needs a token (HF_TOKEN, or the token field).",
    )


def _refusal(asked: DataSetName, status: int) -> Exception:
    if status in (401, 403):
        return AccessDeniedError(
            f"The hub does not let this token read the data set {asked} (status {status}).",
            "Give a token that may; an expired one must be replaced.",
        )
    if status == 404:
        return TrainingError(f"The hub has no data set {asked}.", "Check the spelling.")
    return HubError(f"The hub answered {asked} with status {status}.", "Try again later.")


def _words(error: Exception) -> str:
    """What an error says, in one line of bounded length."""
    return " ".join(str(error).split())[:300].rstrip(".") or type(error).__name__
