"""Corrections become samples: what people submitted in Label Studio, as images with masks and words that training reads.

One stage per file, data flows one way::

    source ─► build ─────────────────────► store ─► folder
               │
               images_kept, marks, wording, split

:mod:`backend.dataset.update` joins the stages: for a whole project, or for what events tell. What is left out is told as
:class:`backend.findings.Finding`.
"""
