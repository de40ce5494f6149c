"""How fast Gradus is, and how exact, beside its peers in the same run on the same machine."""
