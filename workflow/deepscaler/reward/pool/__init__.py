"""Grading in worker processes that are killed at a deadline: the pool, its workers, the process that forks them."""

from deepscaler.reward.pool.pool import GradingPool

__all__ = ["GradingPool"]
