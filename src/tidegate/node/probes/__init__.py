"""Probes: `timing` says when and what follows, `checks` are the questions asked."""
