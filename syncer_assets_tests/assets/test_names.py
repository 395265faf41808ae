"""Names that Dagster takes, and that stay apart."""

import dagster as dg

from syncer_assets.assets import names


def test_a_table_is_named_without_its_schema_where_that_is_unique() -> None:
    assert names.asset_names(["public.orders", "sales.items"]) == {"public.orders": "orders", "sales.items": "items"}


def test_tables_of_the_same_name_are_told_apart_by_their_schema() -> None:
    assert names.asset_names(["public.orders", "sales.orders", "public.items"]) == {
        "public.orders": "public_orders",
        "sales.orders": "sales_orders",
        "public.items": "items",
    }


def test_hostile_names_make_valid_assets() -> None:
    for table in ('public."we ird"', "public.a-b", "public.größe", "public.a;drop"):
        name = names.asset_names([table])[table]

        @dg.asset(key=names.lake_key("shop", name), pool=names.pool("shop", name))
        def asset() -> None: ...

        assert asset.key.path[-1] == name
        assert name.isascii()
        assert name.isidentifier()
