"""What holds for any input: folding, restarting, splitting, losing."""
