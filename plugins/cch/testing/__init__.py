"""In-memory queue, ledger and AWS stand-ins. Product code: the same contract tests run on these and the real ones."""
