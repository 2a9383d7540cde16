"""A second opinion on every number: the kept completions, graded by the harnesses that others use.

harnesses.py says who is asked, scripts/functions.py how; the scripts run in the harnesses' own environments.
"""
