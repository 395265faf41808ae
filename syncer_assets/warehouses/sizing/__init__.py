"""Warehouse sizing: larger for a load, and back as it was found, whatever becomes of the load."""

from .sizer import Adapter, Sizer

__all__ = ["Adapter", "Sizer"]
