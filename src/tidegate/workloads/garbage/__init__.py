"""What goes with its owners: the graph of who owns whom, and the collector."""
