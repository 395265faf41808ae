"""What syncing cost and brought, over time and against a baseline: from the lake's manifests and the ledger."""

from .baseline import read_baseline
from .markdown import markdown
from .page import page
from .report import Report, report

__all__ = ["Report", "markdown", "page", "read_baseline", "report"]
