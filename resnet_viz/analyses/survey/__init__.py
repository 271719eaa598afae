"""What a network does to many images: every scalar measure of every block for each of them, in batched passes.

`sources` and `archives` say what the images are, `passes` and `peaks` what one pass records, `running` is the loop, `result`
what comes out, `files` how it is kept. `statistics` and `comparison` ask questions about finished surveys.
"""
