"""Upgrades: small databases of earlier versions, which today's version has to go on with."""
