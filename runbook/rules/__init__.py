"""The runbook's judgements: pure functions from values to verdicts with evidence. Time and numbers come in as arguments."""
