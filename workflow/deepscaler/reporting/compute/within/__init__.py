"""The plan turned round: what can be done with these GPUs, in these hours, for this money, and what it would decide."""
