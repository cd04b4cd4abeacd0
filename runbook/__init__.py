"""The domain: verdicts, policy, rules, plans, steps and procedures of the deployment runbook.

Imports nothing of the other layers and does no I/O of its own: the outside world comes in through `ports`.
"""
