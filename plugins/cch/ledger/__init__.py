"""What is stored, and who wins when two parties write: see docs/adr/0003 and docs/guarantees in the design."""
