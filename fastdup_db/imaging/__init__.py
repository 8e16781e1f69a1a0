"""Pure functions on the bytes and pixels of one image: decoding, statistics, crops, keypoints."""
