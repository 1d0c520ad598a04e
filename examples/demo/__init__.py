"""The seed's demo from beginning to end, as `make demo` runs it."""
