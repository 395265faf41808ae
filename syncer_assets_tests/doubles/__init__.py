"""Doubles of services that cannot be had here. Each says what it proves and what it does not."""
