"""Uploaded files are parsed in separate processes with limits: a pool of warm processes, and the code that they run.

Reading order: pool.py, warm_process.py, child.py.
"""
