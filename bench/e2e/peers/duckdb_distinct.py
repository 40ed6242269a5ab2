#!/usr/bin/env python3
"""Counts N distinct 128-bit keys with DuckDB under a memory limit: duckdb_distinct.py N LIMIT FOLDER

Prints "distinct N", or exits 1 with DuckDB's own message when it runs out of memory.
"""
import sys

import duckdb


def main() -> int:
    count, limit, folder = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    connection = duckdb.connect()
    connection.execute(f"SET memory_limit='{limit}'")
    connection.execute("SET threads=2")
    connection.execute(f"SET temp_directory='{folder}/duckdb'")
    connection.execute("SET preserve_insertion_order=false")
    try:
        (distinct,) = connection.execute(
            f"SELECT count(DISTINCT md5_number(i::VARCHAR)) FROM range({count}) t(i)").fetchone()
    except duckdb.Error as error:
        print(str(error).splitlines()[0])
        return 1
    print(f"distinct {distinct}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
