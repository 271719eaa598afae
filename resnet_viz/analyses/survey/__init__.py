"""What a network does to many images: every scalar measure of every block for each of them, in batched passes.

`sources` and `archives` provide the images, `passes` and `peaks` record one pass, `running` contains the loop, `result` holds
the outcome, and `files` stores it. `statistics` and `comparison` answer questions about finished surveys.
"""
