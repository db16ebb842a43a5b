"""The senses and the model of the emotion perception, without ROS and without torch."""
