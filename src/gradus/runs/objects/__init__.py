"""What a user hands over as objects: data, models, losses and methods, and what identifies them."""
