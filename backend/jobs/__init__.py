"""Long work outside the web workers: asked for by Label Studio or a person, done by one trainer process per machine.

Read in this order: ``job`` (the values and the two contracts), ``sqlite_queue`` (the queue that needs no server), ``child`` (where a job
runs), ``trainer`` (the process around it), ``redis_queue`` (the same queue for several machines).
"""
