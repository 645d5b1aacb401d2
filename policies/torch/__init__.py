"""Models in torch: loaded from the same weights as llama.cpp, sampled, scored and adapted.

Its modules say `import torch` and get the library: imports are absolute, and `policies/` is
never on the path.
"""
