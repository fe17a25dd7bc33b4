"""What happens next in an execution, decided purely: no clock, no randomness and no I/O of its own."""
