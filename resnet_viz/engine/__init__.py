"""Where analyses run: on this machine's devices, or on an engine on another server; one interface for both.

Reading order: jobs.py, job_types.py, local.py; then remote.py and serving.py, the same over the network.
"""
