"""Brings regions to life: the platform's services in one place, and the host that runs a region on them."""
