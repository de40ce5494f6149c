"""Every picture: first the facts of a figure as data, then their drawing."""
