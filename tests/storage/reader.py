"""A stranger's program that reads the file in a loop until a file named `stop` appears beside it.

python reader.py DATABASE TENSORS: it knows DuckDB only, and prints how often it read and what it found torn.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import duckdb

TORN = """
SELECT m.name FROM model m WHERE
    (SELECT count(*) FROM tensor WHERE model = m.id) != m.num_tensors
    OR (SELECT count(*) FROM distribution WHERE model = m.id) != m.num_tensors
    OR (SELECT count(*) FROM thumbnail WHERE model = m.id) != m.num_tensors
    OR (SELECT count(*) FROM axis_profile WHERE model = m.id) != 2 * m.num_tensors
    OR (SELECT count(*) FROM measurement WHERE model = m.id)
       != m.num_tensors * (SELECT count(*) FROM model_measure WHERE model = m.id)
UNION ALL SELECT 'orphan' FROM tensor WHERE model NOT IN (SELECT id FROM model)
UNION ALL SELECT 'orphan' FROM measurement WHERE model NOT IN (SELECT id FROM model)
"""


def main(path: Path) -> None:
    reads, refusals, torn, counts = 0, 0, [], []
    while not path.with_name("stop").exists():
        try:
            with duckdb.connect(str(path), read_only=True) as connection:
                torn += [row[0] for row in connection.execute(TORN).fetchall()]
                counts.append(connection.execute("SELECT count(*) FROM model_stats").fetchall()[0][0])
                reads += 1
        except duckdb.IOException:
            refusals += 1
    print(json.dumps({"reads": reads, "refusals": refusals, "torn": torn, "counts": counts}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
