"""forge.yaml: read, checked and turned into frozen values; every error says where, why, and what to do.

It never holds a secret that stands in the file: a file with one is refused.
"""
