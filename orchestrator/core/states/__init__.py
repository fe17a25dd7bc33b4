"""The state types, one file each. `enter` begins a state; those that wait have functions for what comes."""
