"""The pictures of the subject: each is drawn from runs of the methods of this package."""
