"""One thin adapter per driver: connect safely, and turn its exceptions into ours (DESIGN 10)."""
