"""Training that is the same on one device, on several replicas and on several workers."""

from hedgezoo.training.loop import fit

__all__ = ["fit"]
