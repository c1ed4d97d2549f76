"""A cluster that does not exist: nodes, jobs and samples as a function of seed and time."""
