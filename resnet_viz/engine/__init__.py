"""Where analyses run: here, on the local device, with results kept in a bounded store."""
