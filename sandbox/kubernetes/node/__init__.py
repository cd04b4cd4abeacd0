"""The one node: a scheduler that always finds it and a kubelet whose containers are played by a runtime."""
