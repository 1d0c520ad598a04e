"""Speed shown, not claimed: every figure beside a limit or a peer measured in the same run."""
