"""The hypotheses that ship, and the user's own."""
