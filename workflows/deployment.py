"""The deployment switch: what an app that anybody may open does not do."""

from __future__ import annotations

import os

from engine.errors import NotAllowedError
from engine.sources.hub_access import SCHEME, is_hub_uri

SWITCH = "WEIGHTSCOPE_PUBLIC"
"""The environment variable; jobs inherit it."""

FORBIDDEN = {
    "server paths": "Files and folders of the server cannot be added or scanned",
    "deletion": "Nothing can be deleted",
    "downloads": "Nothing can be downloaded to the server",
    "training": "Nothing can be trained, and no other long work started than measuring",
    "hub names": "On the hub, only the models of the catalogue can be inspected",
}
"""What a public deployment does not do, and how that is said."""


def is_public() -> bool:
    """Whether this deployment is public: the variable says anything but no, so that a misspelt yes is on the safe side.

    "", "0", "false", "no" and "off" are no.
    """
    return os.environ.get(SWITCH, "").strip().lower() not in ("", "0", "false", "no", "off")


def make_public() -> None:
    """From now on this process and its jobs are public; only a restart takes that back."""
    os.environ[SWITCH] = "1"


def check_allowed(what: str) -> None:
    """Raises NotAllowedError for one of `FORBIDDEN` in a public deployment."""
    if is_public():
        raise NotAllowedError(
            f"{FORBIDDEN[what]}: this Weightscope is public.",
            "Run Weightscope on your own machine for that; it takes one command.",
        )


def check_location(path: str, origin: str) -> None:
    """Raises NotAllowedError unless a public deployment may make that checkpoint known.

    It may for uploads, and for hub models of the catalogue, inspected without a download. Other hub names could reach
    private models with the server's own token.
    """
    if not is_public() or origin == "uploaded":
        return
    if not is_hub_uri(path):
        check_allowed("server paths")
    from workflows.catalogue.entry import catalogue  # here, because jobs need this module and the catalogue needs jobs

    name = path.removeprefix(SCHEME).partition("@")[0].lower()
    if name not in {entry.hub_id.lower() for entry in catalogue()}:
        check_allowed("hub names")
