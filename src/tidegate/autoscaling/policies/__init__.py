"""How many pods, and which of them go: pure functions of demand, settings and time."""
