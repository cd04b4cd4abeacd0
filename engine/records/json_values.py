"""What a column of JSON holds."""

from typing import Any

Json = Any
"""A JSON value; typed loosely because the standard library's `json` is."""
