"""Durable objects with one resourceVersion counter: SQLite on disk, everything also in memory."""
