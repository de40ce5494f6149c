"""What is minimised: losses, penalties and the empirical risk they make."""
