"""Versions of a project: what it learned, beside the weights it learned from.

Read in this order: ``manifest`` (what a version says of itself), ``line`` (the versions of one project on disk, and which of them serves),
``engines`` (the running service takes up what serves), ``train`` (the job that makes a version), ``announce`` (Label Studio is told),
``refresh`` (older predictions are made anew). No tensor is seen here: :mod:`models` writes and loads the weights.
"""
