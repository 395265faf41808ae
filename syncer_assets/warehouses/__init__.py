"""Warehouses, one module each, same shape as `base`."""
