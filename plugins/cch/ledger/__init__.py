"""What is stored, and who wins when two parties write: docs/adr/0007 and docs/guarantees.md."""
