"""HTTP servers inside our own process, for the parts that people and programs talk to."""
