"""Columns of MySQL that are shortened or masked arrive so, and their values lie nowhere else."""

from dataclasses import replace
from pathlib import Path

import pytest

from syncer_assets.model.errors import ConfigError
from syncer_assets.model.table import ColumnRules, MaskRule
from syncer_assets_tests.sources.mysql.rig import MariaRig
from syncer_assets_tests.sync.tables import spec_of

CANARY = "canary-7f3a91"
RULES = ColumnRules(
    hash=("mail",), truncate=(("phone", 3),), mask=(("card", MaskRule(keep_last=2)), ("mood", MaskRule("?")))
)


def test_values_with_a_rule_do_not_leave_the_source(maria_rig: MariaRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCER_HASH_KEY", "0123456789abcdef")
    maria_rig.maria.execute(
        "CREATE TABLE orders (id int AUTO_INCREMENT PRIMARY KEY, mail varchar(99), phone text, card char(20),"
        " mood enum('good', 'bad'), at time)"
    )
    maria_rig.maria.execute(
        "INSERT INTO orders (mail, phone, card, mood) VALUES (%s, %s, %s, 'bad'), (NULL, NULL, NULL, NULL)",
        (CANARY, f"+49{CANARY}", f"{CANARY}42"),
    )
    spec = spec_of("orders", ["id"], columns=RULES)
    maria_rig.sync(spec)
    maria_rig.load(spec)
    arrived = {("+49", "***42", "?"): 1, (None, None, None): 1}
    assert (
        maria_rig.in_lake(spec, "phone", "card", "mood") == maria_rig.in_warehouse("phone", "card", "mood") == arrived
    )
    files = [path.read_bytes() for path in Path(str(maria_rig.lake.root)).rglob("*") if path.is_file()]
    assert files and not any(CANARY.encode() in body for body in files)
    assert CANARY not in repr(maria_rig.events)
    with pytest.raises(ConfigError, match="'at' of type time, and only text can be shortened"):
        maria_rig.sync(replace(spec, columns=ColumnRules(mask=(("at", MaskRule()),))))
