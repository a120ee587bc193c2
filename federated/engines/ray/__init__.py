"""PARS-Push over real messages: one actor for each group of nodes, on Ray.

`member` is a group that lives on its own, `actor` puts it on Ray, `cluster` starts and ends Ray, `fleet` has
all actors of a training, and `schedule` shows them to `Training` as a schedule. Call `environment.prepare`
before anything that imports ray: `actor`, `cluster`, `fleet` and `schedule`.
"""
