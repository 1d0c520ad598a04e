"""Containers as plain processes, forked from a warm template of their image."""
