"""What `deploy/` ships, run: nginx in front of real processes, the units, the scripts, and `make run-scaled`."""
