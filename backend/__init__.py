"""The Label Studio service of Wordmask: HTTP and command line around the engines of :mod:`models`.

Importing this package loads no weights and no torch; :func:`backend.app.create_app` builds the service.
"""
