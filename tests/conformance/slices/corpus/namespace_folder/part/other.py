value = "ns"
