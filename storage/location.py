"""Where the database lies."""

from __future__ import annotations

import os
from pathlib import Path

DATABASE_NAME = "weightscope.duckdb"


def data_folder() -> Path:
    """The folder of everything that is kept between runs: `WEIGHTSCOPE_DATA`, or `data` under the project's root.

    The project's root is the folder that holds this package and `pyproject.toml`; for a copy of the package that
    lies elsewhere (installed, say), it is the working directory. The folder need not exist yet.

    Returns: an absolute path.
    """
    chosen = os.environ.get("WEIGHTSCOPE_DATA", "").strip()
    if chosen:
        return Path(chosen).expanduser().resolve()
    root = Path(__file__).resolve().parent.parent
    return (root if (root / "pyproject.toml").is_file() else Path.cwd()) / "data"
