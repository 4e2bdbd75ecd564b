"""What tests of several folders share: processes, databases, workers, clients, promises."""
