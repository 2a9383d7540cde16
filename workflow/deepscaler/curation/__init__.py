"""From competition problems to clean question-answer pairs: one module a step of the funnel."""
