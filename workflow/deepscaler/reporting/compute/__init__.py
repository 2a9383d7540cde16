"""Hours and dollars: the plan before a run, the status during it, the ledger after it."""
