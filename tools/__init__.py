"""Helpers around the project: servers for tests and demo, the browser, the demo itself. Not installed with the package."""
