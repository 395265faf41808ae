"""The errors of each family of servers as data: code -> class (`model/failures.py`), and the fix. A module a family."""
