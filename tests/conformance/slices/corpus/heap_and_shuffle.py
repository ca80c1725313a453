# call: run()
import heapq
import random

queue = []
heapq.heappush(queue, 3)
heapq.heappush(queue, 1)
deck = list(range(5))
random.Random(4).shuffle(deck)


def run():
    return queue, deck
