"""Who executes a run: engines that give the same history for the same job."""
