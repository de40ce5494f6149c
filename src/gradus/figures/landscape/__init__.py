"""Where a network went as it was trained: its path over the true risk, in a plane."""
