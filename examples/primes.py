"""An example of one's own work: a plain function, fanned out over any of the models.

producer compare primes:count --inputs primes.jsonl
producer run primes:count --inputs primes.jsonl --model broker-queue-batched
"""


def count(start: int, end: int) -> int:
    """Count the primes in start..end, the simple way."""
    return sum(n > 1 and all(n % d for d in range(2, int(n**0.5) + 1)) for n in range(start, end + 1))
