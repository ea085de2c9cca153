"""Training: the Lightning module with its one step, its callbacks, and the trainer."""
