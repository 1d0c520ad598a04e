"""The four ways to change parts of an object: JSON, merge and strategic merge patch, and apply."""
