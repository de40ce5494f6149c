"""The learning rate of a run for whoever has none in mind: what theory allows, and what it does."""
