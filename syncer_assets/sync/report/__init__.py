"""What syncing cost and brought, over time and against a baseline: from the lake's manifests and the ledger."""

from .baseline import read_baseline
from .list_reads import ListFiles
from .markdown import markdown
from .page import page
from .report import Report, report, with_files, with_updates

__all__ = ["ListFiles", "Report", "markdown", "page", "read_baseline", "report", "with_files", "with_updates"]
