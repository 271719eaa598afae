"""The commands about images: `inspect`, `attribution`, `gradients`, `conductance` and `compare`.

images       which images are meant, and what is done with each of them
inspecting, explaining, comparing
             the commands
"""
