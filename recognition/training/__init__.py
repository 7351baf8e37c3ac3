"""Trains embedders: losses, what they are shown, and the lesson that compares them."""
