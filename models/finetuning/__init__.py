"""Fine-tuning: a base's weights and corrected samples become a version that answers better on such images.

One stage per file, data flows one way::

    examples ─► batches ─► stage (encoders, low_rank, objectives) ─► validation ─► draft
        └──────────────────────── scores ◄──────────────────────────────┘

:mod:`models.finetuning.finetune` joins the stages, :mod:`models.training.loop` steps through them. :mod:`models.finetuning.request` says
what can be asked for, and imports no torch.
"""
