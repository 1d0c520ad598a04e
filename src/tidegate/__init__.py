"""Tidegate: a serverless platform for AI model services."""

from __future__ import annotations

__version__ = "0.1.0"
