"""What a scale costs before it starts: pure arithmetic of the settings, no engine, no result. docs/plan.md derives it.

Seconds, bytes, tokens and FLOP throughout; hours and gigabytes (10^9 bytes) only in what people read.
"""
