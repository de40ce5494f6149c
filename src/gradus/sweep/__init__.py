"""Many runs: which are trained, what is kept of them, how they compare."""
