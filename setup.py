"""The part that is compiled; pyproject.toml says everything else."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "syncer_assets.drivers._rows",  # a plain library: `drivers/native.py` calls it by ctypes
            sources=["syncer_assets/drivers/_mysql_rows.c", "syncer_assets/drivers/_postgres_rows.c"],
            depends=["syncer_assets/drivers/_columns.h"],
            extra_compile_args=["-std=gnu11", "-O3", "-Wall", "-Wextra"],
        )
    ]
)
