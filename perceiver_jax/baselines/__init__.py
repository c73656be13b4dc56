"""The models that the paper trained beside the Perceiver (tables 1, 2, 4): they see the same input array, on its grid."""
