"""Data: what models are trained on and tried on."""
