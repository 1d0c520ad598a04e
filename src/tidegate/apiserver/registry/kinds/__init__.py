"""The built-in kinds, each declared in one place."""
