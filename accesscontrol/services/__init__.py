"""The embedded services: PostgreSQL, Valkey and their process supervisor, for one machine.

`manage.py up` calls `startup.bring_up`. Nothing here imports Django, its settings or the domain,
so it works before there is a database or a keyring. Read in this order: `startup`, `parts`,
`supervision`, `child`, then `postgres` and `valkey`.
"""
