"""To and from others: what trackers of experiments are given."""
