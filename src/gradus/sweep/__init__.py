"""Many runs: which they are, how they are trained side by side, and what remains of them."""
