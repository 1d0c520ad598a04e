"""How containers are run: the contract in `contract`, one package per way of doing it."""
