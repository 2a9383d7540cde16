"""report.html: one page with everything that a scale gave, and a few completions to read."""
