"""The pages and their sections."""
