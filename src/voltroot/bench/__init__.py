"""Measuring: how fast it issues, revokes, answers and starts, beside others and beside what arithmetic alone costs."""
