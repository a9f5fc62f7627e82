"""Width theory for neural networks: explicit constructions, certified bounds, exact analysis and fits, side by side.

A construction is a target function and, where its theorem gives one, an explicit network with a guaranteed error. A
bound is a theorem as a number, with the error of its own computation. A grid of settings becomes rows of a ledger, rows
become a table, a table becomes a figure. Modules are the interface; constructions, bounds and models are found by
walking their folders, and listed nowhere.

Layers. A module imports only from its own layer and from those above it (a test reads this table):

    typing, named, network, user_folder, processes, replacement, bounds
    constructions, exact, models, images
    metrics, optimizers, regression, ensemble, compilation_cache, compiled, resident, polish, training, overlap, fit
    augmentation, classification, image_training, image_programs, snapshots, classify, roofline, timing
    identity, provenance, storage, tables, ledger, leases, packing, executors, engines, driver, progress
    grid, hosts, multihost
    estimates, censored, image_tasks, verdicts, plotting, command, experiment, study, gallery
    verification

Only `models` imports Flax; `bounds` needs no JAX. Importing starts no device.
"""
