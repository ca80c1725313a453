depth = 9
