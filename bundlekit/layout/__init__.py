"""Between bytes and values. The only place that knows construct, and the only one that knows offsets."""
