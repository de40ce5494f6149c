"""The pictures of the subject, drawn from what the package itself computes."""
