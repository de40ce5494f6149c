"""What an examination found, and what it saw of the run, as one page."""
