"""`tsobs demo`: everything on this machine, beside a cluster that is simulated and says so."""
