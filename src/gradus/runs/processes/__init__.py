"""One run by several processes: how they find each other, what goes between them, how they end."""
