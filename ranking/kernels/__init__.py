"""Compiled derivatives of slate losses: each client's gradient, computed in its core's cache.

Stacked tensors walk the weights and activations of all clients through memory once for every operation.
Here one client is taken after another: its rows are gathered, its layers go through BLAS, and what lies
between them stays in cache; so five clients take a tenth of the time of fifty, and threads share clients.

    clients.py     what is asked for: gradients, Hessian-vector products, descents of C clients
    gathering.py   the rows of a client's batch
    dense.py       fully connected layers       characters.py   the character CNN before them
    losses.py      slopes of slate losses       compiling.py    how all of it is compiled, and kept

A client's numbers depend on nobody else's, so that results have the same bits whoever is computed together.
"""
