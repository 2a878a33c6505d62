"""Looks whether an environment is as the program needs it, and says what to do where it is not."""
