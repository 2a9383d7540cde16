"""Before parsing: LaTeX cleaned of layout, words and units separated from mathematics."""
