"""What marks words in LaTeX: to be taken away before they are read."""

import re

WRAPPERS = re.compile(
    r"\\(?:text|textbf|textit|textrm|textnormal|mbox|mathrm|mathbf|mathit|mathsf|operatorname|emph|bf|rm)(?![A-Za-z])"
)
NO_BRACES = str.maketrans("{}", "  ")
ARTICLE = re.compile(r"(?<![A-Za-z])(?:an?|the) +(?=[a-z])", re.I)
