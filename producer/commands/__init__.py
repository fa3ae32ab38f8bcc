"""The commands of `producer`, each in a module of its own: its options, its help, and what it calls."""
