"""TPC-H's lineitem with a bigint key in both servers, and the sparse table."""

import shutil
import subprocess
import sys
from itertools import islice
from pathlib import Path

import psycopg

from .servers import SOURCE, Servers

COLUMNS = """
  l_orderkey bigint NOT NULL, l_partkey bigint NOT NULL, l_suppkey bigint NOT NULL, l_linenumber integer NOT NULL,
  l_quantity decimal(15,2) NOT NULL, l_extendedprice decimal(15,2) NOT NULL, l_discount decimal(15,2) NOT NULL,
  l_tax decimal(15,2) NOT NULL, l_returnflag char(1) NOT NULL, l_linestatus char(1) NOT NULL, l_shipdate date NOT NULL,
  l_commitdate date NOT NULL, l_receiptdate date NOT NULL, l_shipinstruct char(25) NOT NULL,
  l_shipmode char(10) NOT NULL, l_comment varchar(44) NOT NULL"""
NAMES = ", ".join(part.split()[0] for part in COLUMNS.replace("(15,2)", "").split(","))
SPARSE_ROWS, SPARSE_STEP = 50_000, 400


def generate(folder: Path, scale: float) -> Path:
    """lineitem as CSV with a header, made once a scale. 1/6 is about one million rows."""
    wanted = folder / f"scale-{scale:.6f}"
    if not (wanted / "lineitem.csv").exists():
        unfinished = folder / f"{wanted.name}.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        command = [_generator(), "csv", "-s", f"{scale:.6f}", "--tables=lineitem", f"--output-dir={unfinished}"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        unfinished.rename(wanted)
    return wanted / "lineitem.csv"


def first_rows(csv: Path, rows: int) -> Path:
    """The header and the first `rows` rows, as a file beside it."""
    cut = csv.with_name(f"first-{rows}.csv")
    with csv.open("rb") as whole, cut.open("wb") as file:
        file.writelines(islice(whole, rows + 1))
    return cut


def fill_postgres(servers: Servers, table: str, csv: Path) -> int:
    """The rows in a new table of PostgreSQL's `source`, ids from 1 on; how many."""
    with psycopg.connect(servers.postgres_dsn(SOURCE), autocommit=True) as connection:
        connection.execute(f"CREATE TABLE {table} (id bigserial PRIMARY KEY, {COLUMNS})".encode())
        statement = f"COPY {table} ({NAMES}) FROM STDIN (FORMAT csv, HEADER)".encode()
        with connection.cursor() as cursor:
            with cursor.copy(statement) as copy, csv.open("rb") as file:
                while block := file.read(1 << 20):
                    copy.write(block)
            rows = cursor.rowcount
        connection.execute(f"VACUUM (FREEZE, ANALYZE) {table}".encode())
    return rows


def fill_mariadb(servers: Servers, table: str, csv: Path) -> None:
    """The same in MariaDB's `source`."""
    servers.execute_mariadb(
        f"CREATE TABLE {table} (id bigint AUTO_INCREMENT PRIMARY KEY, {COLUMNS})",
        f"LOAD DATA INFILE '{csv}' INTO TABLE {table} FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"'"
        f" IGNORE 1 LINES ({NAMES})",
        f"ANALYZE TABLE {table}",
    )


def fill_sparse(servers: Servers) -> int:
    """50,000 rows whose ids lie evenly in 20,000,000."""
    servers.execute(
        SOURCE,
        "CREATE TABLE sparse (id bigserial PRIMARY KEY, amount numeric(12,2) NOT NULL, note text NOT NULL)",
        f"INSERT INTO sparse SELECT i * {SPARSE_STEP}, i % 100, md5(i::text) FROM generate_series(1, {SPARSE_ROWS}) i",
        "SELECT setval('sparse_id_seq', (SELECT max(id) FROM sparse))",
        "VACUUM (FREEZE, ANALYZE) sparse",
    )
    return SPARSE_ROWS


def _generator() -> str:
    """tpchgen-cli, which is installed beside this interpreter."""
    return str(Path(sys.executable).with_name("tpchgen-cli"))
