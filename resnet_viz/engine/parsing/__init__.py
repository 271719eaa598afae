"""Files from strangers are parsed in processes of their own, with limits: a pool of warm ones, and what they run.

Reading order: pool.py, warm_process.py, child.py.
"""
