"""GRPO with OpenRLHF: the verbs, and a room each for its flags and hooks, launching, the run folder, watching."""
