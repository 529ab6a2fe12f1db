"""What a desk would use without a network, and the exact optimum."""
