"""OpenRLHF itself: its flags, its own parser, the hooks in its processes, the overlay for CPUs."""
