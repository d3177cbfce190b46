"""What comes from outside and starts workflows: whether it is genuine, whether it is new, whom it is for."""
