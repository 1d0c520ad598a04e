"""Routes: whose requests go to which Revisions, in what shares, and under which hosts."""
