"""Behaviours that act on what somebody seems to feel, to be copied and changed; README.md beside them explains them."""
