"""Which row comes when: functions of (seed, position), in NumPy and in a graph."""
