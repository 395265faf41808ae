"""Source databases, one module each, same shape as `base`."""
