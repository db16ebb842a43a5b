"""Offline training of the emotion models; exports the bundle that emotion_perception runs."""
