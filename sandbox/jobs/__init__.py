"""The programs in the shop's images that Jobs run: migrations, verification, test suites, load.

Real work over real protocols, in processes of their own that start fast. They know the shop and nothing of who starts them.
"""
