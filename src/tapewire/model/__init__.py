"""What flows through Tapewire: events, batches, positions, rows, changes, feeds."""
