"""Figures of surveys: many images at once."""
