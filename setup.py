"""The one part that is compiled; pyproject.toml says everything else."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "syncer_assets.drivers._mysql_rows",
            sources=["syncer_assets/drivers/_mysql_rows.c"],
            extra_compile_args=["-std=gnu11", "-O3", "-Wall", "-Wextra"],
            optional=True,  # without Python's headers all but MySQL works, and a MySQL source says what is missing
        )
    ]
)
