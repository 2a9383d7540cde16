"""Whether a folder of results follows from its samples, by doing again what can be done without GPUs."""
