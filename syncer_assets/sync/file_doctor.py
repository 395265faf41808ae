"""What stands in the way of an entity of files: its store, its pattern, its first file, and its tables."""

from ..model.errors import SyncError
from ..model.file_pattern import FilePattern
from ..model.files import FileRefused, FileSpec, SourceFile
from ..sources.json_lines import FileStore, read_file
from ..warehouses.files import FileWarehouse
from .doctor import Finding, from_checks

MB = 1024 * 1024


def examine_files(store: FileStore, spec: FileSpec) -> list[Finding]:
    """The store can be listed, files match the pattern, each is of a partition, and the first can be read."""
    about = about_files(spec)
    try:
        listed = store.list(spec.pattern)
        if not listed:
            return [Finding(about, "pattern", "warning", _nothing_matches(store, spec.pattern))]
        size = sum(file.size for file in listed) / MB
        found = [Finding(about, "pattern", "ok", f"{len(listed):,} files match, of {size:,.1f} MB")]
        inside = [file for file in listed if spec.partition(file.path) is not None]
        if outside := [file.path for file in listed if spec.partition(file.path) is None]:
            told = f"{len(outside):,} files belong to no partition and are left out, such as {outside[0]}"
            found.append(Finding(about, "partitions", "warning", f"{told}: correct the pattern or `start`"))
        return [*found, *([_first_file(about, store, inside[0], spec)] if inside else [])]
    except SyncError as error:
        return [Finding(about, "store", "error", str(error))]


def examine_file_tables(warehouse: FileWarehouse, spec: FileSpec) -> list[Finding]:
    """The raw and the core table are there as they are declared, or can be made."""
    return from_checks(about_files(spec), warehouse.examine(spec))


def about_files(spec: FileSpec) -> str:
    """What findings of an entity are about."""
    return f"files {spec.source}.{spec.entity}"


def _nothing_matches(store: FileStore, pattern: FilePattern) -> str:
    said = f"no file matches {pattern.text}"
    for folder in dict.fromkeys((pattern.folder, "")):
        if there := store.some(folder):
            return f"{said}, and {store.url}/{folder} has {there[0]}: correct the pattern, unless files are to come"
    return f"{said}, and nothing is in {store.url}: correct `url` and pattern, unless files are to come"


def _first_file(about: str, store: FileStore, file: SourceFile, spec: FileSpec) -> Finding:
    """Listing and reading are two permissions. What is read is one piece, unpacked and split."""
    try:
        piece = next(read_file(store, file, spec.limits), None)
    except FileRefused as error:
        return Finding(about, "first file", "warning", str(error))
    return Finding(about, "first file", "ok", f"{file.path} can be read{'' if piece else ', and is empty'}")
