"""What the hub says of a model, and who may ask: names, revisions, listings, and errors in our words."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice

from engine.errors import AccessDeniedError, HubError, SourceNotFoundError
from engine.sources.hub_cache import is_hub_name
from engine.sources.hub_patience import Patience

SCHEME = "hf://"

MAX_LISTED_FILES = 20_000
"""Files and folders of one repository that are listed; the largest model repositories have some thousand."""

TIMEOUT_S = 15.0
"""Longest wait for a connection, or for the next bytes of an answer."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_COMMIT = re.compile(r"[0-9a-f]{40,64}")


@dataclass(frozen=True, slots=True)
class HubName:
    """A model on the hub: `owner/name`, at a branch, tag or commit."""

    repository: str
    revision: str = "main"

    @classmethod
    def parse(cls, text: str) -> HubName:
        """From `owner/name`, `owner/name@revision`, each with or without `hf://`. Raises: SourceNotFoundError."""
        plain = text.removeprefix(SCHEME)
        if not is_hub_name(plain):
            raise SourceNotFoundError(
                f"{text[:200]!r} is no name of a model on the hub.", "Write owner/name or owner/name@revision."
            )
        repository, _, revision = plain.partition("@")
        if ".." in plain.split("/") or ".." in revision.split("/"):
            raise SourceNotFoundError(f"{text[:200]!r} is no name of a model on the hub.", "Leave the dots away.")
        return cls(repository, revision or "main")

    @property
    def uri(self) -> str:
        """`hf://owner/name`, with `@revision` where it is not main: equal for equal models."""
        return f"{SCHEME}{self}"

    def __str__(self) -> str:
        return self.repository if self.revision == "main" else f"{self.repository}@{self.revision}"


@dataclass(frozen=True, slots=True)
class ListedFile:
    """One file of a repository at one commit, as the hub lists it.

    Attributes:
        name: path in the repository. size: bytes.
        sha256: of its content (hex) where the hub knows it: of every large file; None of small text files.
    """

    name: str
    size: int
    sha256: str | None


@dataclass(frozen=True)
class Listing:
    """The files of a repository at one commit. `folders` are those at its root."""

    name: HubName
    commit: str
    files: dict[str, ListedFile]
    folders: tuple[str, ...] = ()


@dataclass(frozen=True)
class Access:
    """Where the hub is and who asks.

    Attributes:
        endpoint: the hub's address; HF_ENDPOINT, else huggingface.co.
        token: sent to that address and to no other; None for HF_TOKEN or the token of `hf auth login`, if any.
    """

    endpoint: str = field(default_factory=lambda: hub_endpoint())
    token: str | None = field(default=None, repr=False)

    def listing(self, name: HubName, *, is_recursive: bool = False) -> Listing:
        """The commit that a revision stands for now, and the files there; of all folders if `is_recursive`.

        Raises: SourceNotFoundError, AccessDeniedError, HubError.
        """
        from huggingface_hub import HfApi

        api = HfApi(endpoint=self.endpoint, token=self.token, library_name="weightscope")
        with hub_errors(name), _sense(name):
            check_online()
            info = Patience().insist(
                lambda: api.model_info(name.repository, revision=name.revision, timeout=TIMEOUT_S, expand=["sha"])
            )
            commit = str(info.sha)
            if not _COMMIT.fullmatch(commit):
                raise ValueError(f"no commit: {commit[:80]!r}")
            entries = Patience().insist(
                lambda: list(
                    islice(
                        api.list_repo_tree(name.repository, revision=commit, recursive=is_recursive),
                        MAX_LISTED_FILES + 1,
                    )
                )
            )
            tree = {entry.path: _listed(entry) for entry in entries}
        if len(tree) > MAX_LISTED_FILES:
            raise HubError(f"{name} has more than {MAX_LISTED_FILES} files.", "Open a repository that holds one model.")
        files = {path: file for path, file in tree.items() if file is not None}
        return Listing(name, commit, files, tuple(path for path, file in tree.items() if file is None))


def hub_endpoint() -> str:
    """The hub's address, without a slash at the end: HF_ENDPOINT as it is now, else what huggingface_hub says."""
    from huggingface_hub import constants

    return (os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")


def is_hub_uri(text: str) -> bool:
    """Whether it begins with `hf://`."""
    return text.startswith(SCHEME)


@contextmanager
def hub_errors(name: HubName) -> Iterator[None]:
    """Turn what huggingface_hub and its HTTP client raise into errors that say what to do."""
    import httpx2
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
    )

    try:
        yield
    except OfflineModeIsEnabled as error:
        raise _offline() from error
    except HFValidationError as error:
        raise SourceNotFoundError(f"{name} is no name of a model on the hub.", "Write owner/name.") from error
    except HfHubHTTPError as error:
        raise _refusal(name, error) from error
    except (httpx2.TransportError, httpx2.TooManyRedirects, httpx2.InvalidURL, LocalEntryNotFoundError) as error:
        raise HubError(
            f"The hub cannot be reached for {name}: {str(error)[:200] or type(error).__name__}.",
            "Check the network and try again; what was finished is kept.",
        ) from error


@contextmanager
def _sense(name: HubName) -> Iterator[None]:
    """Whatever is wrong with an answer that huggingface_hub could not make sense of is the server's fault."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise HubError(
            f"The hub's answer about {name} makes no sense ({type(error).__name__}: {str(error)[:120]}).",
            "Is HF_ENDPOINT the address of a hub?",
        ) from error


def _refusal(name: HubName, error: Exception) -> Exception:
    """The error for a status of 400 or more."""
    from huggingface_hub import errors

    page = f"https://huggingface.co/{name.repository}"
    status = error.response.status_code
    if isinstance(error, errors.GatedRepoError):
        return AccessDeniedError(
            f"{name.repository} is gated: its owner wants a licence to be accepted first.",
            f"Accept it at {page}, then give a token of that account (HF_TOKEN, or the token field).",
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return SourceNotFoundError(
            f"{name.repository} has no revision {name.revision!r}.", f"Its branches and tags are at {page}/tree/main."
        )
    if isinstance(error, errors.EntryNotFoundError):
        return SourceNotFoundError(f"A file of {name} is not on the hub any more.", "Open the model again.")
    if isinstance(error, errors.RepositoryNotFoundError) or status == 404:
        return SourceNotFoundError(
            f"The hub has no model {name.repository}, or it is private.",
            "Check the spelling; a private model needs a token (HF_TOKEN, or the token field).",
        )
    if status in (401, 403):
        return AccessDeniedError(
            f"The hub does not let this token read {name.repository} (status {status}).",
            "Give a token that may (HF_TOKEN, or the token field); an expired one must be replaced.",
        )
    if status == 429:
        return HubError(
            f"The hub asks for fewer requests ({name}).", "Wait a few minutes; with a token the limit is higher."
        )
    return HubError(f"The hub answered {name} with status {status}.", "Try again later; what was finished is kept.")


def _listed(entry) -> ListedFile | None:
    """One entry of a listing; None for a folder."""
    from huggingface_hub.hf_api import RepoFile

    if not isinstance(entry, RepoFile):
        return None
    sha256 = entry.lfs.sha256 if entry.lfs is not None else None
    size = entry.lfs.size if entry.lfs is not None else entry.size
    if not isinstance(size, int) or size < 0 or (sha256 is not None and not _SHA256.fullmatch(sha256)):
        raise ValueError(f"a file of size {str(size)[:40]} and hash {str(sha256)[:80]}")
    return ListedFile(str(entry.path), size, sha256)


def check_online() -> None:
    """Raises HubError in offline mode, which is HF_HUB_OFFLINE as it was when huggingface_hub was imported."""
    from huggingface_hub import is_offline_mode

    if is_offline_mode():
        raise _offline()


def _offline() -> HubError:
    return HubError(
        "The hub was not asked: offline mode is on.", "Unset HF_HUB_OFFLINE and start again, or use what is here."
    )
