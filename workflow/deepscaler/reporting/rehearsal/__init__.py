"""A rehearsal judged: what its jobs left, held against bounds and the plan; go or no go."""
