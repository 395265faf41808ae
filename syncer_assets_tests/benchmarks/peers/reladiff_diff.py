"""reladiff's comparison of two tables: `reladiff_diff.py SOURCE_URL TABLE TARGET_URL TABLE COLUMN..`.

Prints how many rows differ, by sign. The key is `id`; it compares in threads by segments of the key, its defaults.
"""

import json
import sys
from collections import Counter

import reladiff  # pyright: ignore[reportMissingImports]


def main() -> None:
    source, source_table, target, target_table, *columns = sys.argv[1:]
    options = {"key_columns": ("id",), "extra_columns": tuple(columns)}
    left = reladiff.connect_to_table(source, tuple(source_table.split(".")), **options)
    right = reladiff.connect_to_table(target, tuple(target_table.split(".")), **options)
    print(json.dumps(dict(Counter(sign for sign, _ in reladiff.diff_tables(left, right)))))


if __name__ == "__main__":
    main()
