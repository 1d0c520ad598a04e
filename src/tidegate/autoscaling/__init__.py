"""Elasticity: policies that say how many pods a revision should have, and what applies them."""
