"""Grading in worker processes that are killed at a deadline: the pool, its workers, and the fork server."""

from deepscaler.reward.pool.pool import GradingPool

__all__ = ["GradingPool"]
