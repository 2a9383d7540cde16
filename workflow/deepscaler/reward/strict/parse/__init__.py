"""From cleaned text to a tree: tokens, numerals, brackets, expressions, whole answers."""
