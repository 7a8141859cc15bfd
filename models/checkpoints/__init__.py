"""Published checkpoints: which there are (``registry``), whether a file is one (``verify``), and a weights folder of it (``convert``).

Nothing here reaches for the network; fetching is the service's business (``backend/checkpoints/``).
"""
