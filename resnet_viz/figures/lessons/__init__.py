"""Figures of the lessons, one module per lesson, with the lesson's name."""
