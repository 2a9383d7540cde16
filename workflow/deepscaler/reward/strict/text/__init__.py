"""Before parsing: LaTeX cleaned of layout, words and units told from mathematics."""
