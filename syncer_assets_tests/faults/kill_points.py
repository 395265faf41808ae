"""The twenty kill points of a run (K1 to K20), each as the steps of a worker that lie there."""

from dataclasses import dataclass

from syncer_assets_tests.faults.job import COUNTRIES, EVENTS, ITEMS, ORDERS

CURSORS = (ORDERS.name, ITEMS.name, EVENTS.name)
MERGED = (ORDERS.name, ITEMS.name)
ALL = (*CURSORS, COUNTRIES.name)
WAYS = ("process", "server", "zombie")
"""kill -9 of the worker; the server ends its sessions, and it goes on; it is stopped, and overtaken by another."""


@dataclass(frozen=True)
class Point:
    """`steps` are those of `worker`; `tables` have it; `options` are the worker's; `ways` can be done there."""

    what: str
    steps: tuple[str, ...]
    side: str = "source"
    tables: tuple[str, ...] = ALL
    ways: tuple[str, ...] = WAYS
    options: tuple[str, ...] = ()
    only_later: bool = False


PARTS = ("--small-parts",)
REPAIR = ("--run", "repair")
POINTS = {
    "K1": Point("the load has taken its epoch", ("epoch taken",), "warehouse"),
    "K2": Point("the ceiling is fixed", ("ceiling captured", "ceiling judged", "window opened"), tables=CURSORS),
    "K3": Point("in the stream from the source", ("chunk read",), tables=CURSORS),
    "K4": Point("in an upload", ("before upload",), options=PARTS),
    "K5": Point("between two parts of an upload", ("after upload",), options=PARTS),
    "K6": Point("all parts are up, no manifest", ("after complete", "files written", "before put")),
    "K7": Point("the manifest is put, and nobody knows", ("after put",)),
    "K8": Point("the manifest is committed", ("manifest committed",)),
    "K9": Point("staging is made", ("before copy",), "warehouse", MERGED, only_later=True),
    "K10": Point("in COPY", ("after copy",), "warehouse", MERGED, only_later=True),
    "K11": Point("after COPY", ("rows staged",), "warehouse", (*MERGED, COUNTRIES.name), only_later=True),
    "K12": Point("before BEGIN", ("before transact",), "warehouse"),
    "K13": Point("rows are merged, no ledger row", ("rows merged", "before record"), "warehouse"),
    "K14": Point("before COMMIT", ("after record", "ledger written"), "warehouse"),
    "K15": Point("COMMIT is sent, no answer", ("commit sent",), "warehouse", ways=("process",)),
    "K16": Point("after COMMIT, nothing is told yet", ("load committed", "after load"), "warehouse"),
    "K17": Point("while tidying up", ("before delete", "after delete"), tables=CURSORS),
    "K18": Point("in REINDEX CONCURRENTLY", ("REINDEX",), "warehouse", MERGED, ("process", "server"), REPAIR),
    "K19": Point(
        "before and after a table takes the old one's place",
        ("shadow built", "shadow ready", "before place", "after place"),
        "warehouse",
        (COUNTRIES.name,),
        only_later=True,
    ),
    "K20": Point(
        "at VACUUM and ANALYZE",
        ("before vacuum", "VACUUM", "before analyze", "after analyze"),
        "warehouse",
        MERGED,
        ("process", "server"),
        REPAIR,
    ),
}
