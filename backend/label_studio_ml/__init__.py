"""The same backend for those who run ``label-studio-ml start``: a model class for that library's 2.x line.

This folder is the directory that the command takes. The library is the extra ``label-studio-ml``; nothing else here needs it.
What the library's server lacks, the adapter cannot give: readiness, versions, ``ANNOTATIONS_DELETED`` and an error body without
a traceback come with ``wordmask serve`` only.
"""
