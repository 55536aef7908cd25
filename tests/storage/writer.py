"""A program that saves models and says so: python -m tests.storage.writer FOLDER PREFIX COUNT [TENSORS]."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

from storage.store import Store
from tests.storage.made import SETTINGS, make_model


def main(folder: str, prefix: str, count: int, num_tensors: int = 40) -> None:
    store = Store(Path(folder), patience_s=60)
    models = (make_model(f"{prefix}{number}", num_tensors=num_tensors) for number in itertools.count())
    for model in itertools.islice(models, count or None):  # 0: until killed
        print(model.name, store.save_model(model, SETTINGS), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *(int(text) for text in sys.argv[3:]))
