"""Masks out of Label Studio: from a live project or an export file to COCO and further formats, exactly and in any amount.

One stage per file, data flows one way::

    live_tasks ─► task_file ─► image_files ─► convert ─► coco, pixel_maps, yolo
                                                │
                     label_scheme, annotator_rule, regions

:mod:`backend.export.run` joins the stages. What is left out or changed on the way is told as :class:`backend.findings.Finding`.
"""
