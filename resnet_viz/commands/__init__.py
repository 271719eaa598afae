"""The commands about images: `inspect`, `attribution`, `gradients`, `conductance`, `compare` and `survey`.

images       which images are meant, and what is done with each of them
inspecting, explaining, comparing, surveying
             the commands
"""
