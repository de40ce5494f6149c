"""Minimise empirical risks by taking steps, and see what the steps do."""
