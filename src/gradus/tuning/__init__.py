"""The settings of a run for whoever has no range in mind: which, how sure, and at what cost."""
