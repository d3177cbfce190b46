"""The development driver: workflows as ordinary processes, without any isolation."""
