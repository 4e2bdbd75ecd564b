"""One node call: what it asks, what it does once, and when it goes on."""
