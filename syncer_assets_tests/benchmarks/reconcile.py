"""The rows of the table of targets about reconcile: equal tables, and some differences in many rows."""

from pathlib import Path

from .contest import OURS, Bench, Contest, Results, Runner, at_least, at_most, faster
from .measure import run
from .ours import TARGET_SCHEMA
from .runners import SCRIPTS, Start, empty_warehouse, ours_command
from .servers import SOURCE, WAREHOUSE

COLUMNS = ("status", "amount", "updated_at")
POSTGRES = """
CREATE TABLE {table} (id bigint PRIMARY KEY, status text, amount numeric(12,2), updated_at timestamptz NOT NULL);
INSERT INTO {table} SELECT g, 'status ' || g % 10, g / 7.0, timestamptz '2024-01-01 00:00+00' + g * interval '1 s'
FROM generate_series(1, {rows}) g;
ANALYZE {table}
"""
MARIADB = """
CREATE TABLE {table}
    (id bigint PRIMARY KEY, status varchar(20), amount decimal(12,2), updated_at timestamp(6) NOT NULL);
INSERT INTO {table}
SELECT seq, CONCAT('status ', seq % 10), seq / 7, TIMESTAMP'2024-01-01 00:00:00' + INTERVAL seq SECOND
FROM seq_1_to_{rows};
ANALYZE TABLE {table}
"""
CHANGED, MISSING, EXTRA = 60, 20, 20
LARGER = 10


def reconcile(bench: Bench) -> Contest:
    """Equal tables of four columns, PostgreSQL to PostgreSQL."""
    return _equal(bench, "reconcile", "postgres", "PostgreSQL")


def reconcile_mysql(bench: Bench) -> Contest:
    """The same from MySQL."""
    return _equal(bench, "reconcile_mysql", "mysql", "MySQL")


def reconcile_differences(bench: Bench) -> Contest:
    """A hundred differing rows: found, and by us repaired as well."""
    table, rows = "differing", bench.rows["lineitem"]
    lake = _loaded(bench, table, rows, "postgres")

    def found(results: Results) -> float:
        facts = results[OURS].fact("reconcile")
        return facts["rows_changed"] + facts["rows_missing"] + facts["rows_extra"]

    def prepared(*arguments: str) -> Start:
        _differ(bench, table, rows)
        return _ours(bench, table, lake, "postgres", *arguments)

    def prepared_peer() -> Start:
        _differ(bench, table, rows)
        return _reladiff(bench, table, "postgres")

    repairing = f"{OURS} --repair"
    peers = [Runner("reladiff", rows, prepared_peer)] if bench.peers else []
    return Contest(
        "reconcile_differences",
        f"reconcile, {CHANGED + MISSING + EXTRA} of {rows:,} rows differ",
        (Runner(OURS, rows, prepared), Runner(repairing, rows, lambda: prepared("--repair")), *peers),
        (
            at_least("every difference found", CHANGED + MISSING + EXTRA, found),
            at_most("nothing left after --repair", 0, lambda results: results[repairing].fact("reconcile", "left"),
                    (repairing,)),
            faster(1, "reladiff"),
        ),
    )  # fmt: skip


def reconcile_large(bench: Bench) -> Contest:
    """Ten times as many equal rows, in one scan a side."""
    table, rows = "narrow_large", LARGER * bench.rows["lineitem"]
    lake = _loaded(bench, table, rows, "postgres")
    return Contest(
        "reconcile_large",
        f"reconcile, {rows:,} equal rows",
        (Runner(OURS, rows, lambda: _ours(bench, table, lake, "postgres"), runs=1),),
        (at_most("less than 512 MB", 512, lambda results: results[OURS].most("peak_mb")),),
    )


def _equal(bench: Bench, name: str, engine: str, title: str) -> Contest:
    table, rows = "narrow", bench.rows["lineitem"]
    lake = _loaded(bench, table, rows, engine)
    peers = [Runner("reladiff", rows, lambda: _reladiff(bench, table, engine))] if bench.peers else []
    return Contest(
        name,
        f"reconcile {title} -> PostgreSQL, equal rows",
        (Runner(OURS, rows, lambda: _ours(bench, table, lake, engine)), *peers),
        (faster(1, "reladiff"),),
        note="every row and column read on both sides; reladiff compares by segments of the key",
    )


def _loaded(bench: Bench, table: str, rows: int, engine: str) -> Path:
    """The table in the source and, by a sync of ours, in the warehouse; its lake."""
    empty_warehouse(bench)
    for text in (MARIADB if engine == "mysql" else POSTGRES).format(table=table, rows=rows).split(";"):
        bench.servers.execute_mariadb(text) if engine == "mysql" else bench.servers.execute(SOURCE, text)
    lake = bench.fresh("lake")
    command, env = ours_command(bench, "sync", table, lake, engine=engine)
    run(command, bench.servers, env)
    bench.servers.execute(WAREHOUSE, f"VACUUM ANALYZE {TARGET_SCHEMA}.{table}")
    return lake


def _differ(bench: Bench, table: str, rows: int) -> None:
    """The same rows each time: changed and lost in the warehouse, added to it."""
    step, target = rows // 100, f"{TARGET_SCHEMA}.{table}"
    bench.servers.execute(
        WAREHOUSE,
        f"UPDATE {target} SET amount = -1 WHERE id % {step} = 7 AND id / {step} < {CHANGED}",
        f"DELETE FROM {target} WHERE id % {step} = 8 AND id / {step} < {MISSING}",
        f"INSERT INTO {target} SELECT -g, 'ours', 0, '2024-01-01', '2024-01-01' FROM generate_series(1, {EXTRA}) g"
        " ON CONFLICT DO NOTHING",
    )


def _ours(bench: Bench, table: str, lake: Path, engine: str, *arguments: str) -> Start:
    command, env = ours_command(bench, "reconcile", table, lake, engine=engine)
    return [*command, *arguments], env


def _reladiff(bench: Bench, table: str, engine: str) -> Start:
    source = bench.servers.postgres_dsn(SOURCE) if engine == "postgres" else bench.servers.mariadb_dsn()
    named = f"public.{table}" if engine == "postgres" else table
    target = (bench.servers.postgres_dsn(WAREHOUSE), f"{TARGET_SCHEMA}.{table}")
    return [str(bench.peers), str(SCRIPTS / "reladiff_diff.py"), source, named, *target, *COLUMNS], {}
