"""What is kept of a platform and its gateways in the data directory, for later commands.

Settings as the operator gave them, and locks that say which processes run.
"""
