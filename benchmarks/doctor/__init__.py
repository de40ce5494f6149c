"""Faults planted in runs, and how often the doctor names what was planted."""
