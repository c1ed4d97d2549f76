"""`tsobs-agent doctor`: what is found on this machine, what is measured, and why not."""
