# Only one name of two is used.
WHEELS = 4
SEATS = 5
