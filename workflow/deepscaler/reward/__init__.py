"""Answer to verdict: one grader for training and evaluation."""
