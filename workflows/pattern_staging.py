"""Finished parts of an unfinished shared-pattern test: one line of JSON each."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from engine.discovery.coding_gain import CodingGain
from engine.discovery.sharing_dividend import Dividend
from engine.discovery.verdict import PairDividend


class PatternStaging:
    """Parts by key, in a file named after all they depend on; a line torn by a kill is done again.

    Args: checkpoints: the run's folder for them; None to keep nothing. dependencies: settings, versions.
    """

    def __init__(self, checkpoints: Path | None, dependencies: Sequence[str]) -> None:
        self._kept: dict[str, dict | list] = {}
        self._path: Path | None = None
        self.num_resumed = 0
        if checkpoints is None:
            return
        key = hashlib.sha256(json.dumps(("patterns", *dependencies)).encode()).hexdigest()[:32]
        checkpoints.mkdir(parents=True, exist_ok=True)
        self._path = checkpoints / f"{key}.jsonl"
        if self._path.exists():
            for line in self._path.read_text(encoding="utf-8", errors="replace").splitlines():
                self._read(line)

    def _read(self, line: str) -> None:
        try:
            kept = json.loads(line)
            self._kept[kept["key"]] = kept["part"]
        except (ValueError, KeyError, TypeError):
            return

    def take(self, *key: str) -> dict | list | None:
        """The part of that key, if an earlier run finished it."""
        found = self._kept.get("\n".join(key))
        self.num_resumed += found is not None
        return found

    def keep(self, part: dict | list, *key: str) -> None:
        """Keep a finished part; NaN and infinities survive."""
        if self._path is None:
            return
        with self._path.open("ab+") as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":  # a line torn by a kill is closed first
                    file.write(b"\n")
            file.write(json.dumps({"key": "\n".join(key), "part": part}).encode() + b"\n")

    def clear(self) -> None:
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def pair_part(pair: PairDividend) -> dict:
    """A pair as `PatternStaging.keep` takes it."""
    return {
        "is_related": pair.is_related,
        "dividend": asdict(pair.dividend),
        "coding": asdict(pair.coding) if pair.coding else None,
    }


def pair_of(first: int, second: int, kept: dict) -> PairDividend:
    """The pair of those models that was kept."""
    found = kept["dividend"] | {"nulls": tuple(kept["dividend"]["nulls"])}
    coding = CodingGain(**kept["coding"]) if kept["coding"] else None
    return PairDividend(first, second, kept["is_related"], Dividend(**found), coding)
