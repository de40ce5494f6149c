"""Where runs train and where they do not, over two of their options."""
