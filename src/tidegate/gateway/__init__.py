"""The gateway: one HAProxy between clients and pods, and the agent that keeps it in line.

Nothing outside this package knows that it is HAProxy.
"""
