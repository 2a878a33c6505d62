"""The command line ``cch``. Commands load what they need when they run, so that each starts fast."""
