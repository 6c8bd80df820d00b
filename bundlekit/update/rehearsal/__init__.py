"""The rehearsal: a plan is run against every fault, over a simulated pair or over the hooks of a sandbox."""
