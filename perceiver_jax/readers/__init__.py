"""From the bytes of people's files to arrays: pictures, meshes, clouds of points."""
