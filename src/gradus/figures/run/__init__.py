"""Pictures of one run: how good its model is on the test part, and where it is wrong."""
