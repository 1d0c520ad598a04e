"""The pressure test: the state of a run, the runner that drives it, and what the page is sent."""
