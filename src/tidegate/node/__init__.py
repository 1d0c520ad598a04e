"""The virtual node: takes pods, picks an instance spec, runs them, probes them and meters them.

`assembly.build` is the way in. Nothing outside this room knows how a pod is run.
"""
