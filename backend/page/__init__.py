"""The page of the service: what it has learned, what it is doing, and the way back.

Read in this order: ``overview`` (what is on disk, as values), ``charts`` (curves as SVG), ``routes`` (HTTP), ``templates/page.html``.
Rendered here with Flask's own Jinja: no script, no build step, and nothing that a browser would have to fetch elsewhere.
"""
