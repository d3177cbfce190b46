"""Code that runs inside a sandbox before the program: standard library and ctypes only.

The launcher imports this folder as the top-level package `inside`, so that starting a sandbox does not load the rest of
the product. Nothing here may import from outside this folder.
"""
