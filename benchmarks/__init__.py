"""Speed, memory and quality against named peers. Each benchmark runs alone: ``.venv/bin/python benchmarks/NAME.py``."""
