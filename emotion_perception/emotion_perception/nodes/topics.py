"""The suite's own topics, relative to the namespace of the nodes, and how they are sent."""

from rclpy.qos import DurabilityPolicy, QoSProfile

FACES = "emotion/faces"
AUDIO_WINDOW = "emotion/audio_window"
STATE = "emotion/state"
STATES = "emotion/states"
MODEL_INFO = "emotion/model_info"
OVERLAY = "emotion/image"  # the camera's images with faces drawn into them: for people, not for the nodes
PUBLISHED = (FACES, AUDIO_WINDOW, STATE, STATES, MODEL_INFO, OVERLAY)
QUEUE = QoSProfile(depth=10)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
