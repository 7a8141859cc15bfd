"""Fetching published checkpoints: where they lie, how they come, and what a profile still lacks."""
