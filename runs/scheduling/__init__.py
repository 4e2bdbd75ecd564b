"""Which run may be executed by whom, and until when: claims, leases, limits, recovery."""
