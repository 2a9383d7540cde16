"""The paper's statements as claims: their values from results, their verdicts."""
