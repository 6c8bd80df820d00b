"""The engine: plan, records, transitions, planner, executor. It knows no bundle, no matrix and no trust."""
