"""Stand-ins that speak the real protocols, for the laptop and for the tests.

They import nothing of the product: else they would share its faults.
"""
