"""Revisions: what each is made of, how it is doing, and which of them may go."""
