"""Plain maintenance: ANALYZE, and what the catalogue and the statistics tell of a table."""

import psycopg
from psycopg import sql

from ...model.errors import DbError
from ...model.report import Emit
from ...model.table import Target
from . import catalog, names

OWNER_SQL = "SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = $1"

FACTS_SQL = """
SELECT pg_total_relation_size(c.oid), pg_table_size(c.oid), pg_indexes_size(c.oid), c.reltuples::bigint,
    pg_stat_get_live_tuples(c.oid), pg_stat_get_dead_tuples(c.oid),
    greatest(pg_stat_get_last_analyze_time(c.oid), pg_stat_get_last_autoanalyze_time(c.oid))
FROM pg_class c WHERE c.oid = $1
"""


def maintain(connection: psycopg.Connection, target: Target, emit: Emit) -> dict[str, float | int | str]:
    """ANALYZE the table; sizes in bytes, live and dead rows, the time of the last ANALYZE.

    Raises DbError where the role does not own the table: the server would only warn and skip it."""
    oid = catalog.table_oid(connection, target)
    if oid is None:
        return {}
    owner = connection.execute(OWNER_SQL, (oid,)).fetchone()
    if not (owner and owner[0]):
        raise DbError(
            "the role may not ANALYZE the table, since it does not own it",
            code="42501",
            phase="load",
            table=target.name,
            fix="ALTER TABLE .. OWNER TO the warehouse role",
        )
    connection.execute(sql.SQL("ANALYZE {}").format(names.table(target)))
    row = connection.execute(FACTS_SQL, (oid,)).fetchone()
    if row is None:
        return {}
    total, heap, index, estimate, live, dead, analyzed = row
    facts: dict[str, float | int | str] = {
        "size_bytes": total,
        "table_bytes": heap,
        "index_bytes": index,
        "rows_estimate": estimate,
        "live_tuples": live,
        "dead_tuples": dead,
        "dead_tuple_percent": round(100 * dead / (live + dead), 2) if live + dead else 0.0,
        "last_analyze": analyzed.isoformat() if analyzed else "",
    }
    emit("Analyzed table", table=target.name, **facts)
    return facts
