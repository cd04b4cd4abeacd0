"""The interpreter of plans, with explicit persisted state: guards, inbox, outbox, approvals, queue, deadlines.

Knows the domain (`runbook`) and its own ports; never an outside system's library and never a concrete database.
"""
