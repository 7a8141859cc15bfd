"""Data come in: published data sets and exports of Label Studio, into a data set folder or straight into a project.

One stage per file, data flows one way::

    reading ─► to_folder   (image_shelf)
               to_project  (task_content, image_addresses, task_store)

Formats that have nothing to do with Label Studio are read by :mod:`models.data.readers`. What is wrong with single entries is told as
:class:`backend.findings.Finding`, and the rest comes in.
"""
