"""GPUs: what the drivers' libraries and tools tell of them, and which job holds which."""
